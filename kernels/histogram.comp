#version 450
// Counts the byte values of chunks of blocks. Every invocation has its own 8-bit counters in shared memory, four in a
// word; a chunk is so short that none overflows.

#extension GL_EXT_control_flow_attributes : require
layout(local_size_x = 64) in;

#include "encode.glsl"
#define INVOCATIONS HISTOGRAM_INVOCATIONS
// Words that an invocation has under way at once: memory answers after hundreds of cycles.
#define LOADS 8u

layout(push_constant) uniform HistogramPush {
    uint chunks;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
// The block of each chunk.
layout(std430, binding = 1) readonly buffer Pieces { uint pieces[]; };
layout(std430, binding = 2) readonly buffer Raw { uint raw[]; };
// 256 counts a chunk.
layout(std430, binding = 3) writeonly buffer Histograms { uint histograms[]; };

// Word (bin / 4) * INVOCATIONS + t belongs to invocation t: it stays in its bank.
shared uint counters[64u * INVOCATIONS];

void count(uint value) {
    counters[(value >> 2) * INVOCATIONS + gl_LocalInvocationIndex] += 1u << 8u * (value & 3u);
}

// Counts the first `bytes` bytes of a word.
void count_word(uint word, uint bytes) {
    if (bytes >= 4u) {
        [[unroll]] for (uint b = 0u; b < 4u; b++) count(word >> 8u * b & 0xffu);
    } else {
        for (uint b = 0u; b < bytes; b++) count(word >> 8u * b & 0xffu);
    }
}

void main() {
    uint own = gl_LocalInvocationIndex;
    for (uint chunk = gl_WorkGroupID.x; chunk < chunks; chunk += gl_NumWorkGroups.x) {
        for (uint i = 0u; i < 64u; i++) counters[i * INVOCATIONS + own] = 0u;

        EncodeBlock block = blocks[pieces[chunk]];
        uint words = (block.raw_size + 3u) / 4u;
        uint first = min((chunk - block.chunk) * chunk_words(block), words);
        uint end = min(first + chunk_words(block), words);
        for (uint i = first + own; i < end; i += LOADS * INVOCATIONS) {
            uint word[LOADS];
            [[unroll]] for (uint l = 0u; l < LOADS; l++) {
                word[l] = i + l * INVOCATIONS < end ? raw[block.raw + i + l * INVOCATIONS] : 0u;
            }
            [[unroll]] for (uint l = 0u; l < LOADS; l++) {
                if (i + l * INVOCATIONS < end) count_word(word[l], block.raw_size - 4u * (i + l * INVOCATIONS));
            }
        }
        barrier();

        // Bins 4 t to 4 t + 3, each sum at most 64 * 252; staggered so that banks do not collide.
        uint even = 0u;
        uint odd = 0u;
        for (uint i = 0u; i < INVOCATIONS; i++) {
            uint four = counters[own * INVOCATIONS + (own + i) % INVOCATIONS];
            even += four & 0xff00ffu;
            odd += four >> 8 & 0xff00ffu;
        }
        uint at = 256u * chunk + 4u * own;
        histograms[at] = even & 0xffffu;
        histograms[at + 1u] = odd & 0xffffu;
        histograms[at + 2u] = even >> 16;
        histograms[at + 3u] = odd >> 16;
        barrier();
    }
}
