#version 450
// Counts the byte values of chunks of blocks, and of each segment. Counters lie in COLUMNS columns, and invocations with neighbouring numbers count
// in different ones, each column in a bank of its own: atomic additions then seldom meet.

#extension GL_EXT_control_flow_attributes : require
#define INVOCATIONS 256u
layout(local_size_x = 256) in;

#include "encode.glsl"
#ifndef COLUMNS
#define COLUMNS 32u
#endif
// Words that an invocation has under way at once: memory answers after hundreds of cycles.
#ifndef LOADS
#define LOADS 16u
#endif
#define PIECE (4u * LOADS * INVOCATIONS)
// The same where segments are shorter than a piece.
#define FEW_LOADS 4u

layout(push_constant) uniform HistogramPush {
    uint chunks;
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
// The block of each chunk.
layout(std430, binding = 1) readonly buffer Pieces { uint pieces[]; };
layout(std430, binding = 2) readonly buffer Raw { uint raw[]; };
// 256 counts a chunk.
layout(std430, binding = 3) writeonly buffer Histograms { uint histograms[]; };
// COUNT_WORDS words for two segments.
layout(std430, binding = 4) writeonly buffer Counts { uint counts[]; };

shared uint counters[256u * COLUMNS];
uint column;

// NVIDIA's multiprocessors add a constant 1 in half the time of anything else.
void count(uint value) { atomicAdd(counters[value * COLUMNS + column], 1u); }

void count_word(uint word) {
    [[unroll]] for (uint b = 0u; b < 32u; b += 8u) count(word >> b & 0xffu);
}

void load_piece(uint first, out uint words[LOADS]) {
    [[unroll]] for (uint l = 0u; l < LOADS; l++) words[l] = raw[first + gl_LocalInvocationIndex + l * INVOCATIONS];
}

// Counts so many bytes from a word on.
void count_bytes(uint first, uint size) {
    uint own = gl_LocalInvocationIndex;
    uint i = own;
    for (; i + (FEW_LOADS - 1u) * INVOCATIONS < size / 4u; i += FEW_LOADS * INVOCATIONS) {
        uint words[FEW_LOADS];
        [[unroll]] for (uint l = 0u; l < FEW_LOADS; l++) words[l] = raw[first + i + l * INVOCATIONS];
        [[unroll]] for (uint l = 0u; l < FEW_LOADS; l++) count_word(words[l]);
    }
    for (; i < size / 4u; i += INVOCATIONS) count_word(raw[first + i]);
    if (own < size % 4u) count(raw[first + size / 4u] >> 8u * own & 0xffu);
}

// How often this invocation's value has been counted. Called in uniform control flow.
uint own_sum() {
    uint own = gl_LocalInvocationIndex;
    barrier();
    uint sum = 0u;
    for (uint c = 0u; c < COLUMNS; c++) sum += counters[own * COLUMNS + (own + c) % COLUMNS];
    barrier();
    return sum;
}

// What a chunk is.
struct Chunk {
    // First word, and bytes.
    uint first, size;
    // Where the counts of its first two segments go.
    uint counts;
};

Chunk chunk(uint number) {
    EncodeBlock block = blocks[pieces[number]];
    uint begin = (number - block.chunk) << CHUNK_LOG;
    return Chunk(block.raw + begin / 4u, min(block.raw_size - begin, 1u << CHUNK_LOG),
                 block.counts + (begin >> segment_log) / 2u * COUNT_WORDS);
}

bool whole_piece_at(Chunk chunk, uint at) { return PIECE <= 1u << segment_log && at + PIECE <= chunk.size; }

void main() {
    uint own = gl_LocalInvocationIndex;
    column = own % COLUMNS;
    // A whole piece is loaded while what precedes it is counted, or counters are cleared.
    uint ahead[LOADS];
    uint number = gl_WorkGroupID.x;
    Chunk next = chunk(number);
    if (whole_piece_at(next, 0u)) load_piece(next.first, ahead);
    for (uint i = own; i < 256u * COLUMNS; i += INVOCATIONS) counters[i] = 0u;
    barrier();
    // How often the value has occurred.
    uint before = 0u;
    for (; number < chunks; number += gl_NumWorkGroups.x) {
        Chunk own_chunk = next;
        bool last = number + gl_NumWorkGroups.x >= chunks;
        if (!last) next = chunk(number + gl_NumWorkGroups.x);
        uint before_chunk = before;
        uint to = own_chunk.counts + own;
        // In the first segment of a pair.
        uint first_count = 0u;
        for (uint at = 0u; at < own_chunk.size;) {
            uint piece = min(min(own_chunk.size - at, PIECE), 1u << segment_log);
            bool ends = at + piece == own_chunk.size;
            uint words[LOADS] = ahead;
            if (!ends && whole_piece_at(own_chunk, at + PIECE)) load_piece(own_chunk.first + (at + PIECE) / 4u, ahead);
            if (ends && !last && whole_piece_at(next, 0u)) load_piece(next.first, ahead);
            if (whole_piece_at(own_chunk, at)) {
                [[unroll]] for (uint l = 0u; l < LOADS; l++) count_word(words[l]);
            } else {
                count_bytes(own_chunk.first + at / 4u, piece);
            }
            at += piece;
            if (!ends && (at & (1u << segment_log) - 1u) != 0u) continue;
            uint sum = own_sum();
            uint occurred = min(sum - before, MOST_COUNT);
            before = sum;
            bool is_second = (at - 1u >> segment_log & 1u) != 0u;
            if (!is_second) first_count = occurred;
            if (is_second || ends) {
                counts[to] = first_count | (is_second ? occurred << 16 : 0u);
                to += COUNT_WORDS;
            }
        }
        histograms[256u * number + own] = before - before_chunk;
    }
}
