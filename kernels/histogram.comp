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

void main() {
    uint own = gl_LocalInvocationIndex;
    column = own % COLUMNS;
    for (uint chunk = gl_WorkGroupID.x; chunk < chunks; chunk += gl_NumWorkGroups.x) {
        for (uint i = own; i < 256u * COLUMNS; i += INVOCATIONS) counters[i] = 0u;
        barrier();

        EncodeBlock block = blocks[pieces[chunk]];
        uint begin = (chunk - block.chunk) << CHUNK_LOG;
        uint size = min(block.raw_size - begin, 1u << CHUNK_LOG);
        uint first = block.raw + begin / 4u;
        // Where the counts of a pair of segments go, how often the value had occurred before a segment, and in the first one of a pair.
        uint to = block.counts + (begin >> segment_log) / 2u * COUNT_WORDS + own;
        uint before = 0u;
        uint first_count = 0u;
        // The next whole piece is loaded while one is counted.
        uint ahead[LOADS];
        bool is_ahead = false;
        for (uint at = 0u; at < size;) {
            uint piece = min(min(size - at, PIECE), 1u << segment_log);
            if (piece == PIECE) {
                if (!is_ahead) load_piece(first + at / 4u, ahead);
                uint words[LOADS] = ahead;
                is_ahead = size - at >= 2u * PIECE;
                if (is_ahead) load_piece(first + (at + PIECE) / 4u, ahead);
                [[unroll]] for (uint l = 0u; l < LOADS; l++) count_word(words[l]);
            } else {
                count_bytes(first + at / 4u, piece);
            }
            at += piece;
            bool ends = at == size;
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
        histograms[256u * chunk + own] = before;
    }
}
