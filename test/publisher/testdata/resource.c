// SPDX-License-Identifier: Apache-2.0
//
// Publishes its resource by OTEP 4719, and makes getsockopt calls, as the lines of its
// standard input tell it. It answers each line with another.
//
//	publish NAME     publishes a service's name, or changes it
//	unfinished NAME  begins to change it, and notifies readers
//	large NAME       publishes the name, and 64 KiB of other attributes
//	many NAME        publishes the name, and 200 other attributes
//	typed            publishes attributes of all types, and some that it may not set
//	garbage          publishes what cannot be read, or has no meaning
//	blocked header   publishes on a page whose fault nobody answers, as one of FUSE may be
//	blocked payload  the same, with the payload there
//	flood N          changes the name N times
//	call OPTION      makes a call
//	fork OPTION      lets a child make it, which publishes nothing
//	forked OPTION NAME  lets a child publish, and make it after another line
//	exec             executes itself
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blocked.h"

#define OTEL_PR_SET_VMA 0x53564d41
#define OTEL_PR_SET_VMA_ANON_NAME 0
#define MAPPING_SIZE 4096

struct header {
	char signature[8];
	uint32_t version;
	uint32_t payload_size;
	uint64_t published_at;
	const void *payload;
};

static volatile struct header *published;
static char payload[128 * 1024], part[128 * 1024], attribute[4096];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// Appends a field of protobuf with bytes.
static size_t append(char *to, size_t at, int field, const void *bytes, size_t length)
{
	size_t rest = length;

	to[at++] = field << 3 | 2;
	for (; rest >= 0x80; rest >>= 7)
		to[at++] = rest | 0x80;
	to[at++] = rest;
	memcpy(to + at, bytes, length);
	return at + length;
}

// Appends an attribute with an encoded value.
static size_t append_value(size_t at, const char *key, const void *value, size_t length)
{
	size_t n = append(attribute, 0, 1, key, strlen(key));

	n = append(attribute, n, 2, value, length);
	return append(part, at, 1, attribute, n);
}

static size_t append_text(size_t at, const char *key, const char *text)
{
	char value[1024];

	return append_value(at, key, value, append(value, 0, 1, text, strlen(text)));
}

static uint64_t next_time(void)
{
	static uint64_t now = 1;

	return ++now;
}

static void notify(volatile const void *at)
{
	// Kernels that cannot name memory refuse it.
	prctl(OTEL_PR_SET_VMA, OTEL_PR_SET_VMA_ANON_NAME, at, MAPPING_SIZE, "OTEL_CTX");
}

static void publish_payload(size_t size)
{
	if (!published) {
		int file = memfd_create("OTEL_CTX", MFD_CLOEXEC);

		if (file < 0 || ftruncate(file, MAPPING_SIZE))
			fail("create the mapping");
		published = mmap(NULL, MAPPING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
		if (published == MAP_FAILED ||
		    madvise((void *)published, MAPPING_SIZE, MADV_DONTFORK))
			fail("map it");
		close(file);
	}
	published->published_at = 0;
	published->version = 2;
	published->payload_size = size;
	published->payload = payload;
	memcpy((void *)published->signature, "OTEL_CTX", 8);
	published->published_at = next_time();
	notify(published);
}

static size_t name_service(const char *name)
{
	size_t n = append_text(0, "service.name", name);

	n = append_text(n, "service.namespace", "50%");
	return append_text(n, "service.instance.id", "of a program");
}

static void publish(const char *name)
{
	size_t n = name_service(name);

	publish_payload(append(payload, 0, 1, part, n));
}

static void publish_others(const char *name, int count, int length)
{
	char key[32], text[1000] = "";
	size_t n = name_service(name);

	memset(text, 'x', length);
	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "other.%d", i);
		n = append_text(n, key, text);
	}
	publish_payload(append(payload, 0, 1, part, n));
}

static void publish_types(void)
{
	static const char three[] = { 3 << 3, 3 }, yes[] = { 2 << 3, 1 },
			  half[] = { 4 << 3 | 1, 0, 0, 0, 0, 0, 0, (char)0xe0, 0x3f };
	char element[8], list[32];
	size_t length = append(element, 0, 1, "a", 1), n;

	length = append(list, 0, 1, element, length);
	memcpy(element, list, length);
	length = append(list, 0, 5, element, length);
	n = name_service("typed");
	n = append_value(n, "an.int", three, sizeof(three));
	n = append_value(n, "a.bool", yes, sizeof(yes));
	n = append_value(n, "a.double", half, sizeof(half));
	n = append_value(n, "a.list", list, length);
	n = append_text(n, "process.pid", "1");
	n = append_text(n, "container.id", "c");
	n = append_text(n, "host.name", "h");
	n = append_text(n, "k8s.pod.uid", "p");
	n = append_text(n, "telemetry.sdk.name", "s");
	publish_payload(append(payload, 0, 1, part, n));
}

static void publish_garbage(void)
{
	static const uintptr_t addresses[] = {
		0, 1, 0x7fffffffe000, 0x800000000000, 0xdeadbeefdeadbeef, -4096UL, -1UL
	};
	static struct header h = { "OTEL_CTX", 2, 100, 1, payload };
	static char text[4096] = "OTEL_CTY";

	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		notify((void *)addresses[i]);
		h.payload = (void *)addresses[i];
		notify(&h);
	}
	notify(text);
	h.version = 1;
	notify(&h);
}

static void publish_blocked(const char *what)
{
	if (!strcmp(what, "header")) {
		notify(blocked_page(MAPPING_SIZE));
		return;
	}
	publish("unblocked");
	published->published_at = 0;
	published->payload = blocked_page(MAPPING_SIZE);
	published->published_at = next_time();
	notify(published);
}

static void call(int option)
{
	int value;
	socklen_t length = sizeof(value);

	getsockopt(0, SOL_SOCKET, option, &value, &length);
}

// Reads a line byte by byte: another process or image reads the next one.
static int read_line(char *line, int size)
{
	int n = 0;

	while (n < size - 1) {
		if (read(0, line + n, 1) != 1)
			return 0;
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = 0;
	return 1;
}

static void child(int option, const char *name)
{
	char line[256];
	pid_t pid = fork();

	if (pid == 0) {
		if (name) {
			published = NULL;
			publish(name);
			read_line(line, sizeof(line));
		}
		call(option);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		fail("fork");
}

int main(int argc, char **argv)
{
	char line[256], name[128];
	int n;

	(void)argc;
	while (read_line(line, sizeof(line))) {
		if (sscanf(line, "publish %127s", name) == 1) {
			publish(name);
		} else if (sscanf(line, "unfinished %127s", name) == 1) {
			publish(name);
			published->published_at = 0;
			notify(published);
		} else if (sscanf(line, "large %127s", name) == 1) {
			publish_others(name, 80, 800);
		} else if (sscanf(line, "many %127s", name) == 1) {
			publish_others(name, 200, 1);
		} else if (!strcmp(line, "typed")) {
			publish_types();
		} else if (!strcmp(line, "garbage")) {
			publish_garbage();
		} else if (sscanf(line, "blocked %127s", name) == 1) {
			publish_blocked(name);
		} else if (sscanf(line, "flood %d", &n) == 1) {
			for (int i = 0; i < n; i++) {
				snprintf(name, sizeof(name), "flood%d", i);
				publish(name);
			}
		} else if (sscanf(line, "call %d", &n) == 1) {
			call(n);
		} else if (sscanf(line, "forked %d %127s", &n, name) == 2) {
			child(n, name);
		} else if (sscanf(line, "fork %d", &n) == 1) {
			child(n, NULL);
		} else if (!strcmp(line, "exec")) {
			if (write(1, "done\n", 5) != 5 || execv("/proc/self/exe", argv))
				fail("exec");
		} else {
			fprintf(stderr, "unknown line %s\n", line);
			return 2;
		}
		if (write(1, "done\n", 5) != 5)
			fail("answer");
	}
	return 0;
}
