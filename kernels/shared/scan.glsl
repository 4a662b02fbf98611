// Prefix sums over a workgroup of SCAN_SIZE invocations, without subgroup operations.

shared uint scan_sums[SCAN_SIZE];

// The sum of the values of the invocations before this one; total is the sum of all. Called in uniform control flow.
uint exclusive_sum(uint value, out uint total) {
    uint own = gl_LocalInvocationIndex;
    uint sum = value;
    scan_sums[own] = sum;
    barrier();
    for (uint reach = 1u; reach < SCAN_SIZE; reach *= 2u) {
        uint before = own >= reach ? scan_sums[own - reach] : 0u;
        barrier();
        sum += before;
        scan_sums[own] = sum;
        barrier();
    }
    total = scan_sums[SCAN_SIZE - 1u];
    barrier();
    return sum - value;
}
