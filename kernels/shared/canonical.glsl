// Canonical prefix codes. The includer has scan.glsl, and in each of its 64 invocations four symbols.

// A code of length K - c takes 2^c slots, in canonical order; its bits are the K - c highest of its first slot's.
struct Code {
    // Its number among all codes; symbols without a code follow the last.
    uint rank;
    // Its first slot.
    uint slot;
};

// Of a sum of counts, those of three classes to a word, the one of a class. A count is at most 256.
uint class_count(uvec4 counts, uint class_of) { return counts[class_of / 3u] >> 10u * (class_of % 3u) & 0x3ffu; }

// The codes of the symbols that are present, by their classes, 0 to 11. `longest` says whether there are any of class 0, and `slots` how many
// slots all codes take. Called in uniform control flow.
Code[4] canonical(uint present, uint class_of[4], out bool longest, out uint slots) {
    uvec4 own = uvec4(0u);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint one = (present >> i & 1u) << 10u * (class_of[i] % 3u);
        [[unroll]] for (uint w = 0u; w < 4u; w++) own[w] += class_of[i] / 3u == w ? one : 0u;
    }
    uvec2 all_low, all_high;
    uvec2 low = exclusive_sums(own.xy, all_low);
    uvec2 high = exclusive_sums(own.zw, all_high);
    uvec4 before = uvec4(low, high);
    uvec4 all = uvec4(all_low, all_high);
    Code codes[4];
    uint first = 0u;
    uint present_before = 0u;
    slots = 0u;
    [[unroll]] for (uint c = 12u; c-- > 0u;) {
        uint index = class_count(before, c);
        present_before += index;
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            if ((present >> i & 1u) != 0u && class_of[i] == c) {
                codes[i] = Code(first + index, slots + (index << c));
                index++;
            }
        }
        uint count = class_count(all, c);
        first += count;
        slots += count << c;
        longest = count > 0u;
    }
    uint absent = first + 4u * gl_LocalInvocationIndex - present_before;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if ((present >> i & 1u) == 0u) codes[i] = Code(absent++, 0u);
    }
    return codes;
}
