// Prefix sums over a workgroup of SCAN_SIZE invocations, at most 64, without subgroup operations.

#define SCAN_GROUP 8u
// The values, then the sums of groups of them.
shared uint scan_sums[SCAN_SIZE + SCAN_SIZE / SCAN_GROUP];

// The sum of the values of the invocations before this one; total is the sum of all. Called in uniform control flow. Two steps of loads that do not
// wait for each other: steps of one load each, which double the reach, need three times the barriers.
uint exclusive_sum(uint value, out uint total) {
    uint own = gl_LocalInvocationIndex;
    uint group = own / SCAN_GROUP;
    scan_sums[own] = value;
    barrier();
    uint sum = 0u;
    [[unroll]] for (uint i = 0u; i < SCAN_GROUP; i++) {
        uint other = scan_sums[group * SCAN_GROUP + i];
        sum += i < own % SCAN_GROUP ? other : 0u;
    }
    if (own % SCAN_GROUP == SCAN_GROUP - 1u) scan_sums[SCAN_SIZE + group] = sum + value;
    barrier();
    total = 0u;
    [[unroll]] for (uint i = 0u; i < SCAN_SIZE / SCAN_GROUP; i++) {
        uint other = scan_sums[SCAN_SIZE + i];
        sum += i < group ? other : 0u;
        total += other;
    }
    return sum;
}
