// Prefix sums over a workgroup of SCAN_SIZE invocations, a multiple of SCAN_GROUP, without subgroup operations.

#define SCAN_GROUP 8u
// The values, then the sums of groups of them.
shared uvec2 scan_sums[SCAN_SIZE + SCAN_SIZE / SCAN_GROUP];

// The sums of the values of the invocations before this one; total is the sum of all. Called in uniform control flow. Two steps of loads that do not
// wait for each other: steps of one load each, which double the reach, need three times the barriers.
uvec2 exclusive_sums(uvec2 value, out uvec2 total) {
    uint own = gl_LocalInvocationIndex;
    uint group = own / SCAN_GROUP;
    scan_sums[own] = value;
    barrier();
    uvec2 sum = uvec2(0u);
    [[unroll]] for (uint i = 0u; i < SCAN_GROUP; i++) {
        uvec2 other = scan_sums[group * SCAN_GROUP + i];
        sum += i < own % SCAN_GROUP ? other : uvec2(0u);
    }
    if (own % SCAN_GROUP == SCAN_GROUP - 1u) scan_sums[SCAN_SIZE + group] = sum + value;
    barrier();
    total = uvec2(0u);
    [[unroll]] for (uint i = 0u; i < SCAN_SIZE / SCAN_GROUP; i++) {
        uvec2 other = scan_sums[SCAN_SIZE + i];
        sum += i < group ? other : uvec2(0u);
        total += other;
    }
    return sum;
}

uint exclusive_sum(uint value, out uint total) {
    uvec2 totals;
    uint sum = exclusive_sums(uvec2(value, 0u), totals).x;
    total = totals.x;
    return sum;
}
