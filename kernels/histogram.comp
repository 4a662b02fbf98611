#version 450
// Counts the byte values of chunks of blocks. Counters lie in COLUMNS columns, and invocations with neighbouring numbers count
// in different ones, each column in a bank of its own: atomic additions then seldom meet.

#extension GL_EXT_control_flow_attributes : require
#define INVOCATIONS 256u
layout(local_size_x = 256) in;

#include "encode.glsl"
#define COLUMNS 32u
// Words that an invocation has under way at once: memory answers after hundreds of cycles.
#define LOADS 16u

layout(push_constant) uniform HistogramPush {
    uint chunks;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
// The block of each chunk.
layout(std430, binding = 1) readonly buffer Pieces { uint pieces[]; };
layout(std430, binding = 2) readonly buffer Raw { uint raw[]; };
// 256 counts a chunk.
layout(std430, binding = 3) writeonly buffer Histograms { uint histograms[]; };

shared uint counters[256u * COLUMNS];
uint column;

void count(uint value) { atomicAdd(counters[value * COLUMNS + column], 1u); }

void count_word(uint word) {
    [[unroll]] for (uint b = 0u; b < 32u; b += 8u) count(word >> b & 0xffu);
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
        uint i = own;
        for (; i + (LOADS - 1u) * INVOCATIONS < size / 4u; i += LOADS * INVOCATIONS) {
            uint words[LOADS];
            [[unroll]] for (uint l = 0u; l < LOADS; l++) words[l] = raw[first + i + l * INVOCATIONS];
            [[unroll]] for (uint l = 0u; l < LOADS; l++) count_word(words[l]);
        }
        for (; i < size / 4u; i += INVOCATIONS) count_word(raw[first + i]);
        if (own < size % 4u) count(raw[first + size / 4u] >> 8u * own & 0xffu);
        barrier();

        uint sum = 0u;
        for (uint c = 0u; c < COLUMNS; c++) sum += counters[own * COLUMNS + (own + c) % COLUMNS];
        histograms[256u * chunk + own] = sum;
        barrier();
    }
}
