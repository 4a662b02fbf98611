#version 450
// Brings the payloads of coded blocks together, in the order of the blocks, each from a multiple of 4 bytes: a link carries one piece faster than
// many, and the host need not know the sizes of the pieces first.

#extension GL_EXT_control_flow_attributes : require
#define INVOCATIONS 256u
layout(local_size_x = 256) in;

#include "encode.glsl"
// Workgroups a block.
#define SHARES 4u
// Words that an invocation has under way at once: memory answers after hundreds of cycles.
#define LOADS 8u

layout(push_constant) uniform GatherPush {
    uint blocks;
};
layout(std430, binding = 0) readonly buffer Results { EncodeResult results[]; };
layout(std430, binding = 1) readonly buffer Payload { uint payload[]; };
layout(std430, binding = 2) writeonly buffer Reports { EncodeResult reports[]; };
layout(std430, binding = 3) writeonly buffer Gathered { uint gathered[]; };

// Words of the blocks before.
shared uint before;

uint words(uint kind, uint coded_size) { return kind == KIND_CODED ? (coded_size + 3u) / 4u : 0u; }

void main() {
    uint own = gl_LocalInvocationIndex;
    for (uint work = gl_WorkGroupID.x; work < SHARES * blocks; work += gl_NumWorkGroups.x) {
        uint number = work / SHARES;
        if (own == 0u) before = 0u;
        barrier();
        uint sum = 0u;
        for (uint i = own; i < number; i += INVOCATIONS) sum += words(results[i].kind, results[i].coded_size);
        atomicAdd(before, sum);
        barrier();

        EncodeResult result = results[number];
        uint size = words(result.kind, result.coded_size);
        uint share = (size + SHARES - 1u) / SHARES;
        uint end = min((work % SHARES + 1u) * share, size);
        uint from = result.payload;
        uint to = before;
        uint i = work % SHARES * share + own;
        for (; i + (LOADS - 1u) * INVOCATIONS < end; i += LOADS * INVOCATIONS) {
            uint ahead[LOADS];
            [[unroll]] for (uint l = 0u; l < LOADS; l++) ahead[l] = payload[from + i + l * INVOCATIONS];
            [[unroll]] for (uint l = 0u; l < LOADS; l++) gathered[to + i + l * INVOCATIONS] = ahead[l];
        }
        for (; i < end; i += INVOCATIONS) gathered[to + i] = payload[from + i];
        if (work % SHARES == 0u && own == 0u) {
            if (result.kind == KIND_CODED) result.payload = to;
            reports[number] = result;
        }
        barrier();
    }
}
