// Which symbol has a slot. The includer may define CUMS, where it has what is described below.

#ifndef CUMS
shared uint cums[256];
#define CUMS(i) cums[i]
#endif

// CUMS holds the first slot of each symbol in the high half. The last of them that is not above `slot`.
uint find_slot(uint slot) {
    uint found = 0u;
    [[unroll]] for (uint step = 128u; step > 0u; step /= 2u) {
        if (CUMS(found + step) >> 16 <= slot) found += step;
    }
    return found;
}
