// Which symbol has a slot.

// Of each symbol the first slot, in the high half, and its frequency; or, of huff, what parse.comp found of each code.
shared uint cums[256];

// The last of cums[] whose high half is not above `slot`.
uint find_slot(uint slot) {
    uint found = 0u;
    [[unroll]] for (uint step = 128u; step > 0u; step /= 2u) {
        if (cums[found + step] >> 16 <= slot) found += step;
    }
    return found;
}
