// The lane skeleton: the 32 lanes of a segment spread over WIDTH invocations (a group), LANES of them in each.
// Lane j * WIDTH + i is the j-th of invocation i, so that loads and stores stay coalesced. A group works on
// STREAMS segments at once.
//
// Subgroup form: ballots tell lanes of each other. Shared form: masks in shared memory, with a barrier a step, so
// all groups of a workgroup walk in step.

#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#ifdef KHR_BALLOT
// The ballot of SPV_KHR_shader_ballot. NVIDIA's compiler masks that of the core with the active lanes in every loop, and keeps
// account of these: a tenth of the arithmetic of the decode loops.
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_shader_ballot"], capabilities = [4423], id = 4421) uvec4 ballot(bool value);
#else
#define ballot subgroupBallot
#endif
#extension GL_EXT_control_flow_attributes : require
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
// OpUDot of four bytes and four bytes, which the literal 0 says.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4451)
uint dot_bytes(uint x, uint y, spirv_literal uint format);
#endif

// Byte n of a word. With DOT as a dot product: NVIDIA's multiprocessors do these where they multiply, and shifts and masks where they
// do most of what coders' loops consist of.
uint byte_of(uint x, uint n) {
#ifdef DOT
    return dot_bytes(x, 1u << 8u * n, 0);
#else
    return x >> 8u * n & 0xffu;
#endif
}

#ifdef SUBGROUP
#ifndef WIDTH
#if SUBGROUP > 32
#define WIDTH 32
#else
#define WIDTH SUBGROUP
#endif
#endif
// Groups that walk in step, whose loops must be as long as each other's.
#define GROUPS_IN_STEP (SUBGROUP / WIDTH)
#else
#define WIDTH 4
#define GROUPS_IN_STEP GROUPS
#endif

layout(local_size_x = WORKGROUP, local_size_x_id = 0) in;

#define LANES (32 / WIDTH)
#define GROUPS (gl_WorkGroupSize.x / WIDTH)
#define TILE 128u

// Many lanes an invocation keep it busy as they are; unrolled steps and a second body for whole tiles would take drivers
// (SwiftShader above all) minutes to compile.
#if defined(SUBGROUP) && WIDTH >= 16
#define UNROLL_STEPS [[unroll]]
#define UNROLL_LANES [[unroll]]
#define FAST_PATH
#else
#define UNROLL_STEPS [[dont_unroll]]
// Where it is done once a segment.
#define UNROLL_LANES [[dont_unroll]]
#endif

#ifdef SUBGROUP
#define INVOCATION (gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID)
#else
#define INVOCATION gl_LocalInvocationIndex
#endif

// A value that all invocations of a group have. Where a group is a subgroup, drivers are to know: loops and branches then cost
// less.
#if defined(SUBGROUP) && WIDTH == SUBGROUP
uint same(uint value) { return subgroupBroadcastFirst(value); }
#else
uint same(uint value) { return value; }
#endif

// This invocation's group, and the first group of those that it walks in step with.
uint group() { return same(INVOCATION / WIDTH); }
uint first_group_in_step() { return group() / GROUPS_IN_STEP * GROUPS_IN_STEP; }
// The lane that this invocation's j-th is.
uint lane(uint j) { return j * WIDTH + INVOCATION % WIDTH; }

// What claim() and claim_back() count words in: 1 for words, or a word's bytes for bytes, which need not be multiplied again to make an address.
#ifndef UNIT
#define UNIT 1u
#endif

#ifdef SUBGROUP

// The group's part of a ballot, in its low WIDTH bits.
uint group_ballot(bool value) {
    uvec4 votes = ballot(value);
#if WIDTH == SUBGROUP
    return votes.x;
#elif WIDTH == 32
    return gl_SubgroupInvocationID < 32u ? votes.x : votes.y;
#else
    return bitfieldExtract(votes.x, int(gl_SubgroupInvocationID / WIDTH * WIDTH), WIDTH);
#endif
}

// Whether a condition that each group agrees on holds in all groups of the subgroup.
bool all_groups(bool value) {
#if WIDTH == SUBGROUP
    return value;
#else
    uvec4 votes = ballot(!value);
    return (votes.x | votes.y) == 0u;
#endif
}

// The mask of a group's lanes for which a value holds. Called in uniform control flow.
uint lane_mask(bool value[LANES]) {
    uint mask = 0u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) mask |= group_ballot(value[j]) << j * WIDTH;
    return mask;
}

uint below() { return (1u << (INVOCATION % WIDTH)) - 1u; }

// Gives each lane in need the next word of a stream, in lane order; p is the stream's next word. Both in units.
void claim(inout uint p, bool need[LANES], out uint at[LANES]) {
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        // `same`, so that where a group is a subgroup the compiler keeps one p for all of it.
        uint takers = same(group_ballot(need[j]));
        at[j] = p + UNIT * bitCount(takers & below());
        p += UNIT * bitCount(takers);
    }
}

// The same from the end: p is behind the stream's next free word.
void claim_back(inout uint p, bool need[LANES], out uint at[LANES]) {
    [[unroll]] for (int j = LANES - 1; j >= 0; j--) {
#ifdef SAME_BACK
        // As measured (NOTES.md): of claim's advantage rans has none here.
        uint takers = same(group_ballot(need[j]));
#else
        uint takers = group_ballot(need[j]);
#endif
        p -= UNIT * bitCount(takers);
        at[j] = p + UNIT * bitCount(takers & below());
    }
}

// Orders shared-memory accesses of a group.
void group_barrier() {
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

#else

// Two sets of masks, used in turn: nobody overwrites a set before everybody has read it and met at a barrier.
shared uint lane_masks[2u * gl_WorkGroupSize.x];
uint mask_set = 0u;

// The mask of a group's lanes for which a value holds. Called in uniform control flow.
uint lane_mask(bool value[LANES]) {
    uint own = 0u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) own |= value[j] ? 1u << lane(j) : 0u;
    uint base = mask_set * gl_WorkGroupSize.x;
    mask_set ^= 1u;
    lane_masks[base + INVOCATION] = own;
    barrier();
    uint mask = 0u;
    [[unroll]] for (uint i = 0u; i < WIDTH; i++) mask |= lane_masks[base + group() * WIDTH + i];
    return mask;
}

void claim(inout uint p, bool need[LANES], out uint at[LANES]) {
    uint mask = lane_mask(need);
    [[unroll]] for (uint j = 0u; j < LANES; j++) at[j] = p + UNIT * bitCount(mask & ((1u << lane(j)) - 1u));
    p += UNIT * bitCount(mask);
}

void claim_back(inout uint p, bool need[LANES], out uint at[LANES]) {
    uint mask = lane_mask(need);
    p -= UNIT * bitCount(mask);
    [[unroll]] for (uint j = 0u; j < LANES; j++) at[j] = p + UNIT * bitCount(mask & ((1u << lane(j)) - 1u));
}

// All groups walk in step: this is a barrier of the workgroup.
void group_barrier() { barrier(); }

#endif
