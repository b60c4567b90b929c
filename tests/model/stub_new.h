/* stub_new.h: objects at a place of the model's own; before relacy.h, which makes a macro of new. */
#ifndef SK_TEST_MODEL_STUB_NEW_H
#define SK_TEST_MODEL_STUB_NEW_H

#include <new>

template <typename T> static void stub_construct(void *place)
{
    ::new (place) T;
}

#endif
