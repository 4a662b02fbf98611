// Canonical prefix codes. The includer has scan.glsl, and in each of its 64 invocations four symbols.

// A code of length K - c takes 2^c slots, in canonical order; its bits are the K - c highest of its first slot's.
struct Code {
    // Its number among all codes; symbols without a code follow the last.
    uint rank;
    // Its first slot.
    uint slot;
};

// The codes of the symbols that are present, by their classes, 0 to 11. `longest` says whether there are any of class 0.
// Called in uniform control flow.
Code[4] canonical(uint present, uint class_of[4], out bool longest) {
    Code codes[4];
    uint first = 0u;
    uint slot = 0u;
    // Three classes at a time, the largest first; a count is at most 256.
    for (uint three = 4u; three-- > 0u;) {
        uint own = 0u;
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            if ((present >> i & 1u) != 0u && class_of[i] / 3u == three) own += 1u << 10u * (class_of[i] % 3u);
        }
        uint all;
        uint before = exclusive_sum(own, all);
        [[unroll]] for (uint c = 3u; c-- > 0u;) {
            uint index = before >> 10u * c & 0x3ffu;
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                if ((present >> i & 1u) != 0u && class_of[i] == 3u * three + c) {
                    codes[i] = Code(first + index, slot + (index << 3u * three + c));
                    index++;
                }
            }
            uint count = all >> 10u * c & 0x3ffu;
            first += count;
            slot += count << 3u * three + c;
            longest = count > 0u;
        }
    }
    uint unused;
    uint absent = exclusive_sum(4u - bitCount(present), unused);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if ((present >> i & 1u) == 0u) codes[i] = Code(first + absent++, 0u);
    }
    return codes;
}
