// A coding table as it is written. The includer has encode.glsl and scan.glsl, and in each of its 64 invocations four
// symbols.

shared uint masks[8];
// Which classes there are, a bit for each.
shared uint classes;
shared uint table[TABLE_WORDS];

// Must have been done by all invocations, a barrier ago.
void clear_table() {
    uint own = gl_LocalInvocationIndex;
    if (own < 8u) masks[own] = 0u;
    if (own == 0u) classes = 0u;
    for (uint i = own; i < TABLE_WORDS; i += SCAN_SIZE) table[i] = 0u;
}

void put(uint at, uint value) {
    atomicOr(table[at >> 5], value << (at & 31u));
    if ((at & 31u) != 0u) atomicOr(table[(at >> 5) + 1u], value >> (32u - (at & 31u)));
}

// Writes the table of these frequencies into `table`, and returns its size in bytes. Without `rest` they are powers of two
// and their classes are the whole table. Called in uniform control flow.
uint serialise(uint f[4], const bool rest) {
    uint own = gl_LocalInvocationIndex;
    uint present = 0u;
    uint class_bits = 0u;
    uint own_classes = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if (f[i] == 0u) continue;
        uint class_of = uint(findMSB(f[i]));
        present |= 1u << i;
        if (rest) class_bits += class_of;
        own_classes |= 1u << class_of;
    }
    // Once an invocation: atomic operations on one place wait for each other.
    atomicOr(classes, own_classes);
    atomicOr(masks[own / 8u], present << 4u * (own % 8u));
    uvec2 all;
    uvec2 before = exclusive_sums(uvec2(bitCount(present), class_bits), all);
    uint rank = before.x;
    uint symbols = all.x;
    uint rest_bits = all.y;

    uint base = uint(findLSB(classes));
    uint width = uint(findMSB(uint(findMSB(classes)) - base) + 1);
    uint groups = 0u;
    for (uint g = 0u; g < 8u; g++) groups |= uint(masks[g] != 0u) << g;
    if (own == 0u) put(0u, groups | base << 8 | width << 12);
    if (own < 8u && masks[own] != 0u) put(16u + 32u * bitCount(groups & ((1u << own) - 1u)), masks[own]);
    uint classes_at = 16u + 32u * bitCount(groups);
    uint rest_at = classes_at + symbols * width + before.y;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if (f[i] == 0u) continue;
        uint class_of = uint(findMSB(f[i]));
        put(classes_at + rank * width, class_of - base);
        if (rest) put(rest_at, f[i] - (1u << class_of));
        rank++;
        rest_at += class_of;
    }
    barrier();
    return (classes_at + symbols * width + rest_bits + 15u) / 16u * 2u;
}
