#version 450
// How fast shared memory answers: eight independent chains of loads an invocation, each of which stays in one bank.
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x = 256) in;
layout(push_constant) uniform ArithmeticPush { uint rounds; uint factor; uint term; };
layout(std430, binding = 0) writeonly buffer Results { uint results[]; };

#define WORDS 2048u
shared uint next[WORDS];

void main() {
    // A word's successor is some words of the same bank further.
    for (uint i = gl_LocalInvocationIndex; i < WORDS; i += 256u) next[i] = (i + 64u * factor) % WORDS;
    barrier();
    uint at[8];
    [[unroll]] for (uint i = 0u; i < 8u; i++) at[i] = (gl_LocalInvocationIndex + 256u * i + term) % WORDS;
    [[dont_unroll]] for (uint round = 0u; round < rounds; round++) {
        [[unroll]] for (uint step = 0u; step < 4u; step++) {
            [[unroll]] for (uint i = 0u; i < 8u; i++) at[i] = next[at[i]];
        }
    }
    uint sum = 0u;
    [[unroll]] for (uint i = 0u; i < 8u; i++) sum += at[i];
    results[gl_GlobalInvocationID.x] = sum;
}
