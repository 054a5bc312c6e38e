/* A policy on the bare ABI, in C without any library: what a module needs at the least. It holds as many machines available as machines run jobs,
 * but at most `most` of its configuration, 10 unless told.
 *
 * Input and output go through Extism's kernel. A block of the kernel's memory is named by an offset that the kernel chose; it is written and read
 * through the kernel's functions. Everything else is described in hostfuncs/ABI.md. */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

KERNEL(input_length) u64 input_length(void);
KERNEL(input_load_u8) u32 input_load_u8(u64 at);
KERNEL(alloc) u64 kernel_alloc(u64 length);
KERNEL(store_u8) void kernel_store_u8(u64 offset, u32 v);
KERNEL(output_set) void output_set(u64 offset, u64 length);
KERNEL(error_set) void error_set(u64 offset);

/* Text: not terminated. */
struct text {
	const char *start, *end;
};

#define TEXT(literal) ((struct text){literal, &(literal)[sizeof literal - 1]})

/* A snapshot without the list of machines has a few KB; config and observed may add 64 KB each. */
static char snapshot[256 << 10];

static u64 give(struct text t) {
	u64 block = kernel_alloc((u64)(t.end - t.start));
	for (const char *p = t.start; p < t.end; p++) kernel_store_u8(block + (u64)(p - t.start), (u8)*p);
	return block;
}

static int output(struct text t) {
	output_set(give(t), (u64)(t.end - t.start));
	return 0;
}

static int fail(struct text why) {
	error_set(give(why));
	return 1;
}

static struct text space(struct text t) {
	while (t.start < t.end && (*t.start == ' ' || *t.start == '\n' || *t.start == '\t' || *t.start == '\r')) t.start++;
	return t;
}

/* Takes the value at the start of *t off it: a string with its quotes, an object or list with all that is in it, or a word. The host sends correct
 * JSON, and so nothing is checked but the end. */
static struct text take(struct text *t) {
	*t = space(*t);
	struct text v = {t->start, t->start};
	int depth = 0, quoted = 0;
	for (; v.end < t->end; v.end++) {
		char c = *v.end;
		if (quoted) {
			if (c == '\\') v.end++;
			else if (c == '"') quoted = 0;
			if (!quoted && !depth) {
				v.end++;
				break;
			}
		} else if (c == '"') {
			quoted = 1;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (--depth <= 0) {
				if (!depth) v.end++;
				break;
			}
		} else if (!depth && (c == ',' || c == ':' || c == ' ' || c == '\n')) {
			break;
		}
	}
	if (v.end > t->end) v.end = t->end;
	t->start = v.end;
	return v;
}

static int same(struct text a, struct text b) {
	if (a.end - a.start != b.end - b.start) return 0;
	for (; a.start < a.end; a.start++, b.start++)
		if (*a.start != *b.start) return 0;
	return 1;
}

/* Finds the member of an object; the name is given with its quotes. Nothing is found in what is no object. */
static struct text member(struct text object, struct text name) {
	struct text found = {0, 0};
	if (object.start >= object.end || *object.start != '{') return found;
	object.start++;
	while (1) {
		struct text key = take(&object);
		object = space(object);
		if (key.start == key.end || object.start >= object.end || *object.start != ':') return found;
		object.start++;
		struct text v = take(&object);
		if (same(key, name)) found = v; /* of several the last counts */
		object = space(object);
		if (object.start >= object.end || *object.start != ',') return found;
		object.start++;
	}
}

/* Reads a count; anything else is `absent`, and so is a number far beyond a million. */
static u32 count(struct text t, u32 absent) {
	u32 n = 0;
	if (t.start == t.end) return absent;
	for (; t.start < t.end; t.start++) {
		if (*t.start < '0' || *t.start > '9' || n > 1000000) return absent;
		n = n * 10 + (u32)(*t.start - '0');
	}
	return n;
}

static char *put(char *at, struct text t) {
	while (t.start < t.end) *at++ = *t.start++;
	return at;
}

static char *put_count(char *at, u32 n) {
	char digits[10];
	int i = 0;
	do digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i) *at++ = digits[--i];
	return at;
}

EXPORT(describe) int describe(void) {
	return output(TEXT("{\"abi\":1,\"kind\":\"policy\",\"name\":\"c-minimal\",\"version\":\"1.0.0\","
			   "\"summary\":\"holds one machine available for each that runs jobs\"}"));
}

EXPORT(decide) int decide(void) {
	u64 length = input_length();
	if (length > sizeof snapshot) return fail(TEXT("the snapshot is larger than 256 KB"));
	for (u64 i = 0; i < length; i++) snapshot[i] = (char)input_load_u8(i);
	struct text s = space((struct text){snapshot, snapshot + length});
	if (s.start == s.end || *s.start != '{') return fail(TEXT("the snapshot is no object"));

	u32 used = count(member(member(s, TEXT("\"fleet\"")), TEXT("\"used\"")), 0);
	u32 most = count(member(member(s, TEXT("\"config\"")), TEXT("\"most\"")), 10);
	u32 target = used < most ? used : most;

	static char out[160];
	char *at = put(out, TEXT("{\"idle_target\":"));
	at = put_count(at, target);
	at = put(at, TEXT(",\"reason\":\""));
	at = put_count(at, used);
	at = put(at, TEXT(" machines run jobs: hold "));
	at = put_count(at, target);
	at = put(at, TEXT(" available, "));
	at = put_count(at, most);
	at = put(at, TEXT(" at most\"}"));
	return output((struct text){out, at});
}
