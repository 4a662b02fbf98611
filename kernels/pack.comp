#version 450
// Moves word counts, tables and streams of coded blocks to their places in one buffer. Every 32-bit word is written by
// the piece (the head of a block, or a segment) that its low half belongs to. A workgroup takes a segment, and the head
// with the first.

#define INVOCATIONS 128u
layout(local_size_x = 128) in;

#include "encode.glsl"

layout(push_constant) uniform PackPush {
    // Segments of all blocks, and where their blocks' numbers begin in pieces[].
    uint segment_count;
    uint segment_pieces;
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
// The block of each segment.
layout(std430, binding = 1) readonly buffer Pieces { uint pieces[]; };
layout(std430, binding = 2) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 4) readonly buffer Counts { uint counts[]; };
layout(std430, binding = 5) readonly buffer Scratch { uint scratch[]; };
layout(std430, binding = 6) readonly buffer Places { uint places[]; };
layout(std430, binding = 7) readonly buffer Results { EncodeResult results[]; };
layout(std430, binding = 8) writeonly buffer Payload { uint payload[]; };

// The block in work.
uint number;
EncodeBlock block;
uint segments;

// First 16-bit word of a segment's stream in scratch[].
uint stream_at(uint segment) {
    uint end = 2u * segment_scratch(block, segment, segment_log)
        + stream_space(segment_size(block, segment, segment_log));
    return end - 64u - counts[block.segment + segment];
}

uint scratch_half(uint at) { return scratch[at >> 1] >> 16u * (at & 1u) & 0xffffu; }

// The first 16-bit word of a segment, or the zero that pads a block.
uint first_half(uint segment) { return segment < segments ? scratch_half(stream_at(segment)) : 0u; }

uint head_half(uint i) {
    if (i < segments) return counts[block.segment + i];
    i -= segments;
    if (i < infos[number].table_size / 2u) return tables[TABLE_WORDS * number + i / 2u] >> 16u * (i & 1u) & 0xffffu;
    return first_half(0u);
}

void pack_head() {
    uint halves = segments + infos[number].table_size / 2u;
    for (uint i = gl_LocalInvocationIndex; 2u * i < halves; i += INVOCATIONS) {
        payload[results[number].payload + i] = head_half(2u * i) | head_half(2u * i + 1u) << 16;
    }
}

void pack_segment(uint segment) {
    uint begin = places[block.segment + segment];
    uint end = begin + 64u + counts[block.segment + segment];
    uint from = stream_at(segment) - begin;
    for (uint i = (begin + 1u) / 2u + gl_LocalInvocationIndex; 2u * i < end; i += INVOCATIONS) {
        uint at = from + 2u * i;
        uint word;
        if (2u * i + 1u == end) {
            word = scratch_half(at) | first_half(segment + 1u) << 16;
        } else {
            word = scratch[at >> 1];
            if ((at & 1u) != 0u) word = word >> 16 | scratch[(at >> 1) + 1u] << 16;
        }
        payload[i] = word;
    }
}

void main() {
    for (uint piece = gl_WorkGroupID.x; piece < segment_count; piece += gl_NumWorkGroups.x) {
        number = pieces[segment_pieces + piece];
        if (results[number].kind != KIND_CODED) continue;
        block = blocks[number];
        segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
        if (piece == block.segment) pack_head();
        pack_segment(piece - block.segment);
    }
}
