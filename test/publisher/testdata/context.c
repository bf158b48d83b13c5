// SPDX-License-Identifier: Apache-2.0
//
// A publisher of thread contexts by OTEP 4947: part of the program, or a library.
#include <stddef.h>

__attribute__((visibility("default"))) __thread void *otel_thread_ctx_v1;

// set_context sets the context of the calling thread.
__attribute__((visibility("default"))) void set_context(void *record)
{
	otel_thread_ctx_v1 = record;
}
