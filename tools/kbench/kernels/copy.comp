#version 450
// How fast the device's memory is read and written: 16 bytes an invocation and step, neighbours beside each other. (A
// driver's own copy may be far slower: NVIDIA's does a fifth of this on a queue without graphics.)

layout(local_size_x = 256) in;
layout(push_constant) uniform CopyPush { uint count; };
layout(std430, binding = 0) readonly buffer From { uvec4 from[]; };
layout(std430, binding = 1) writeonly buffer To { uvec4 to[]; };

void main() {
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uint i = gl_GlobalInvocationID.x;
    for (; i + 3u * stride < count; i += 4u * stride) {
        uvec4 a = from[i], b = from[i + stride], c = from[i + 2u * stride], d = from[i + 3u * stride];
        to[i] = a;
        to[i + stride] = b;
        to[i + 2u * stride] = c;
        to[i + 3u * stride] = d;
    }
    for (; i < count; i += stride) to[i] = from[i];
}
