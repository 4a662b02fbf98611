// Which symbol has a slot. The includer may define CUMS, where it has what is described below.

#ifndef CUMS
shared uint cums[256];
#define CUMS(i) cums[i]
#endif

// CUMS holds of each symbol the first slot, in the high half, and its frequency; or, of huff, what parse.comp found of each code.
// The last whose high half is not above `slot`.
uint find_slot(uint slot) {
    uint found = 0u;
    [[unroll]] for (uint step = 128u; step > 0u; step /= 2u) {
        if (CUMS(found + step) >> 16 <= slot) found += step;
    }
    return found;
}
