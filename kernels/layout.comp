#version 450
// Decides between coded and stored, and places all payloads end to end. One workgroup; an invocation a block at a time.

#define SCAN_SIZE 256u
layout(local_size_x = 256) in;

#include "encode.glsl"
#include "scan.glsl"

layout(push_constant) uniform LayoutPush {
    uint block_count;
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 2) readonly buffer Counts { uint counts[]; };
// First 16-bit word of each segment in payload[], of coded blocks.
layout(std430, binding = 3) writeonly buffer Places { uint places[]; };
layout(std430, binding = 4) writeonly buffer Results { EncodeResult results[]; };

void main() {
    uint next = 0u;
    for (uint base = 0u; base < block_count; base += SCAN_SIZE) {
        uint number = base + gl_LocalInvocationIndex;
        bool real = number < block_count;
        EncodeResult result = EncodeResult(KIND_STORED, 0u, 0u, 0u);
        uint segments = 0u;
        uint head = 0u;
        uint first = 0u;
        if (real) {
            EncodeBlock block = blocks[number];
            first = block.segment;
            EncodeInfo info = infos[number];
            result = EncodeResult(info.kind, 0u, 1u, 0u);
            if (info.kind == KIND_CODED) {
                segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
                head = segments + info.table_size / 2u;
                uint words = head;
                for (uint s = 0u; s < segments; s++) words += 64u + counts[first + s];
                result.table_log = info.table_log;
                result.coded_size = 2u * words;
                if (result.coded_size >= block.raw_size) result = EncodeResult(KIND_STORED, 0u, block.raw_size, 0u);
            }
        }
        uint total;
        uint coded = result.kind == KIND_CODED ? (result.coded_size + 3u) / 4u : 0u;
        uint payload = next + exclusive_sum(coded, total);
        next += total;
        if (result.kind == KIND_CODED) {
            result.payload = payload;
            uint at = 2u * payload + head;
            for (uint s = 0u; s < segments; s++) {
                places[first + s] = at;
                at += 64u + counts[first + s];
            }
        }
        if (real) results[number] = result;
    }
}
