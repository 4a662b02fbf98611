#version 450
// How many 32-bit multiplications with addition the device does: eight independent chains an invocation. The factors come
// from outside, so that no compiler can work them out.
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x = 256) in;
layout(push_constant) uniform ArithmeticPush { uint rounds; uint factor; uint term; };
layout(std430, binding = 0) writeonly buffer Results { uint results[]; };

void main() {
    uint x[8];
    [[unroll]] for (uint i = 0u; i < 8u; i++) x[i] = gl_GlobalInvocationID.x + i;
    [[dont_unroll]] for (uint round = 0u; round < rounds; round++) {
        [[unroll]] for (uint step = 0u; step < 4u; step++) {
            [[unroll]] for (uint i = 0u; i < 8u; i++) x[i] = x[i] * factor + term;
        }
    }
    uint sum = 0u;
    [[unroll]] for (uint i = 0u; i < 8u; i++) sum ^= x[i];
    results[gl_GlobalInvocationID.x] = sum;
}
