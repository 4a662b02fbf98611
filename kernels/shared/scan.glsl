// Prefix sums over a workgroup of SCAN_SIZE invocations, without subgroup operations.

// In turns: a step reads one half and writes the other, so that one barrier is between steps.
shared uint scan_sums[2u * SCAN_SIZE];

// The sum of the values of the invocations before this one; total is the sum of all. Called in uniform control flow.
uint exclusive_sum(uint value, out uint total) {
    uint own = gl_LocalInvocationIndex;
    uint sum = value;
    uint half_at = 0u;
    scan_sums[own] = sum;
    barrier();
    for (uint reach = 1u; reach < SCAN_SIZE; reach *= 2u) {
        sum += own >= reach ? scan_sums[half_at + own - reach] : 0u;
        half_at = SCAN_SIZE - half_at;
        scan_sums[half_at + own] = sum;
        barrier();
    }
    total = scan_sums[half_at + SCAN_SIZE - 1u];
    barrier();
    return sum - value;
}
