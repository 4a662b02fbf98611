#version 450
// Parses and checks each block's table and finds its segments. One workgroup a block; invocation t has the symbols
// 4 t to 4 t + 3, and the segments of the same numbers. A table of code lengths is one of frequencies 2^(K - length).

#extension GL_EXT_control_flow_attributes : require
#define SCAN_SIZE 64u
layout(local_size_x = 64) in;

#include "decode.glsl"
#include "scan.glsl"
#include "canonical.glsl"

layout(push_constant) uniform ParsePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { DecodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Payload { uint payload[]; };
// RUNS words a block.
layout(std430, binding = 2) writeonly buffer Tables { uint tables[]; };
// First 16-bit word of each segment, and the word after the last segment.
layout(std430, binding = 3) writeonly buffer Streams { uint streams[]; };
layout(std430, binding = 4) writeonly buffer Status { uint status[]; };

// The first check that failed: its number in the high half, the fault in the low one.
shared uint first_fault;

DecodeBlock block;

void check(bool good, uint number, uint fault) {
    if (!good) atomicMin(first_fault, number << 16 | fault);
}

// As much of the payload as sizes of 256 segments and any table take, and a word: bits are read two words at a time. No place is beyond that, since
// classes and widths are clamped even in a table that has been refused.
#define HEAD_WORDS ((16u * 256u + 16u + 8u * 32u + (4u + 11u) * 256u + 31u) / 32u + 1u)
// All at once, since a load from memory that waits for another costs more than everything else here.
shared uint head[HEAD_WORDS];

// A last word that is not whole ends with what an earlier batch left there, or whatever: a table that takes such bits ends
// past the payload, and check 1 fails for all of them alike.
void load_head() {
    for (uint i = gl_LocalInvocationIndex; i < HEAD_WORDS; i += SCAN_SIZE) {
        head[i] = i < (block.coded_size + 3u) / 4u ? payload[block.payload + i] : 0u;
    }
}

// Bits of the payload, at most 32; those of words past its end are zero.
uint bits(uint at, uint count) {
    uint low = head[at >> 5];
    uint high = head[(at >> 5) + 1u];
    uint shift = at & 31u;
    uint value = shift == 0u ? low : low >> shift | high << (32u - shift);
    return count < 32u ? value & ((1u << count) - 1u) : value;
}

void main() {
    uint own = gl_LocalInvocationIndex;
    block = blocks[gl_WorkGroupID.x];
    if (own == 0u) first_fault = NO_FAULT;
    load_head();
    barrier();

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    uint table = 16u * segments;
    uint groups = bits(table, 8u);
    uint class_base = bits(table + 8u, 4u);
    uint class_width = bits(table + 12u, 4u);
    check(2u * segments <= block.coded_size, 0u, FAULT_SEGMENT_SIZES);
    check(class_base <= 11u && class_width <= 4u, 1u, FAULT_TABLE);
    class_width = min(class_width, 4u);

    uint group = own / 8u;
    uint mask = 0u;
    if ((groups >> group & 1u) != 0u) {
        mask = bits(table + 16u + 32u * bitCount(groups & ((1u << group) - 1u)), 32u);
        check(mask != 0u, 1u, FAULT_TABLE);
    }
    uint present = mask >> (4u * (own % 8u)) & 15u;
    // In words of 16 bits; streams of 32-bit words are aligned to them.
    bool windows = block.coder != CODER_RANS;
    uint size[4];
    uint own_size = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint words = bits(16u * (4u * own + i), 16u);
        size[i] = 4u * own + i >= segments ? 0u : windows ? 2u * words : words;
        own_size += size[i];
    }
    uvec2 all;
    uvec2 before = exclusive_sums(uvec2(bitCount(present), own_size), all);
    uint symbols = all.x;
    uint rank = before.x;
    // The next places of present and absent symbols in the order of their numbers.
    uint next = rank;
    uint next_absent = symbols + 4u * own - rank;
    check(symbols >= 2u, 1u, FAULT_TABLE);

    uint classes_at = table + 16u + 32u * bitCount(groups);
    uint class_of[4];
    uint own_bits = 0u;
    bool huffman = block.coder == CODER_HUFFMAN;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        class_of[i] = 0u;
        if ((present >> i & 1u) != 0u) {
            class_of[i] = class_base + bits(classes_at + rank * class_width, class_width);
            check(class_of[i] <= 11u && class_of[i] < block.table_log, 1u, FAULT_TABLE);
            class_of[i] = min(class_of[i], 11u);
            rank++;
        }
        own_bits += class_of[i];
    }
    uint rest_at = classes_at + symbols * class_width;
    uint rest_bits = 0u;
    uint f[4] = uint[4](0u, 0u, 0u, 0u);
    uint cum = 0u;
    uint sum;
    Code codes[4];
    if (huffman) {
        bool longest;
        codes = canonical(present, class_of, longest, sum);
        check(longest, 1u, FAULT_TABLE);
    } else {
        uint at = rest_at + exclusive_sum(own_bits, rest_bits);
        uint own_sum = 0u;
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            f[i] = (present >> i & 1u) != 0u ? (1u << class_of[i]) + bits(at, class_of[i]) : 0u;
            at += class_of[i];
            own_sum += f[i];
        }
        cum = exclusive_sum(own_sum, sum);
    }
    check(sum == 1u << block.table_log, 1u, FAULT_TABLE);

    uint table_end = rest_at + rest_bits;
    uint segments_at = windows ? (table_end + 31u) / 32u * 2u : (table_end + 15u) / 16u;
    check(2u * segments_at <= block.coded_size, 1u, FAULT_TABLE);
    check(bits(table_end, 16u * segments_at - table_end) == 0u, 1u, FAULT_TABLE);

    uint total = all.y;
    uint start = segments_at + before.y;
    check(2u * (segments_at + total) == block.coded_size, 2u, FAULT_SEGMENT_SIZES);
    barrier();

    uint fault = first_fault;
    if (own == 0u) status[gl_WorkGroupID.x] = fault == NO_FAULT ? 0u : fault & 0xffffu;
    if (fault != NO_FAULT) return;
    uint end = 1u << block.table_log + 16u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint number = 4u * own + i;
        bool real = (present >> i & 1u) != 0u;
        uint place = huffman ? codes[i].rank : real ? next++ : next_absent++;
        uint slot = huffman ? codes[i].slot : cum;
        tables[RUNS * gl_WorkGroupID.x + place] = real ? slot << 16 | number : end;
        cum += f[i];
        if (number <= segments) streams[block.streams + number] = 2u * block.payload + start;
        start += size[i];
    }
    if (own == 0u) tables[RUNS * gl_WorkGroupID.x + 256u] = end;
    // With 256 segments the end has no invocation of its own.
    if (own == 63u && segments == 256u) streams[block.streams + 256u] = 2u * block.payload + start;
}
