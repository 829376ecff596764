/* Thousands of graphql-transport-ws subscribers in one thread: opens sockets, subscribes, reads as fast as it can, counts.
 *
 *   subscribers --ports P[,P…] --sockets N --token T --subscribe FILE --counters FILE
 *               [--first N] [--over SECONDS] [--arrivals FILE] [--begun FILE] [--last FILE]
 *
 * FILE of --subscribe is the payload of `subscribe`; each %N in it becomes the socket's number, which counts from
 * --first. Every subscription has an id of its own. With --over the sockets are opened evenly over so many seconds,
 * whatever the server does; otherwise as fast as it acknowledges them.
 *
 * --counters is a file of COUNTERS 64-bit numbers, mapped and kept up to date: read it at any time. The rest is written
 * on SIGTERM: --arrivals (which mark reached which socket when), --begun (milliseconds from connect() to the first
 * payload of each socket), --last (the last payload message, to be sent again by a bare broadcaster).
 *
 * A payload lists workstations with "name":"…-<number>", "version": and "xPosition":, in this order. The writer puts the
 * running number of its change, the mark, into xPosition. (name, version) is new to a socket if the version is higher
 * than any that it has seen of that workstation. All subscribers of a cohort get the same bytes, so bytes that equal
 * those parsed last are not parsed again; they are compared, and counted for each socket.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTED, ACKNOWLEDGED, BEGUN, PAYLOADS, STATES, REPEATED, BYTES, MARKS, CLOSED, ERRORS, COUNTERS };
enum { WORKSTATIONS = 1024, EVENTS = 512, BUFFER = 4 << 20, OPENING_MOST = 100, PORTS_MOST = 16 };

typedef struct {
    int fd;
    enum { CONNECTING, UPGRADING, INITIALISING, SUBSCRIBED } phase;
    int has_begun;
    uint32_t mark;         /* the highest that it has seen */
    double opened, begun;  /* seconds */
    char *rest;            /* the beginning of a frame whose end is still to come */
    size_t rest_length;
    uint32_t *versions;    /* by workstation, the highest seen */
} Socket;

typedef struct { uint32_t workstation, version, mark; } State;
typedef struct { uint32_t socket, mark; double at; } Arrival;

static uint64_t *counters;
static Socket *sockets;
static int epoll, opened, opening, first;
static int ports[PORTS_MOST], port_count;
static const char *token, *subscribe_payload;
static volatile sig_atomic_t stopped;

static Arrival *arrivals;
static size_t arrival_count, arrival_room;
static int wants_arrivals;

static char *last_payload;
static size_t last_length, last_room;
static char *last_message;
static size_t last_message_length;
static State states[WORKSTATIONS];
static int state_count;

static void fail(const char *what) { perror(what); exit(1); }

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- what is sent -------------------------------------------------------------------------------------------------- */

static void write_all(Socket *s, const char *data, size_t length) {
    /* Small, on an empty socket buffer: a partial write does not happen. A reset shows when it is read. */
    if (write(s->fd, data, length) != (ssize_t)length && errno != EPIPE && errno != ECONNRESET) fail("write");
}

static void send_frame(Socket *s, int opcode, const char *data, size_t length) {
    char *frame = malloc(length + 14);
    size_t at = 0;
    frame[at++] = (char)(0x80 | opcode);
    if (length < 126) {
        frame[at++] = (char)(0x80 | length);
    } else {
        if (length > 65535) { fprintf(stderr, "too long a message\n"); exit(1); }
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(length >> 8);
        frame[at++] = (char)length;
    }
    memset(frame + at, 0, 4); /* a mask of zeros leaves the data as they are */
    at += 4;
    memcpy(frame + at, data, length);
    write_all(s, frame, at + length);
    free(frame);
}

static void send_upgrade(Socket *s) {
    static const char request[] =
        "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    write_all(s, request, sizeof request - 1);
}

static void send_init(Socket *s) {
    char message[4096];
    int length = snprintf(message, sizeof message,
                          "{\"type\":\"connection_init\",\"payload\":{\"authorization\":\"Bearer %s\"}}", token);
    send_frame(s, 1, message, (size_t)length);
}

static void send_subscribe(Socket *s) {
    char message[16384];
    int number = first + (int)(s - sockets);
    size_t at = (size_t)sprintf(message, "{\"id\":\"s%d\",\"type\":\"subscribe\",\"payload\":", number);
    for (const char *p = subscribe_payload; *p; p++) {
        if (p[0] == '%' && p[1] == 'N') {
            at += (size_t)sprintf(message + at, "%d", number);
            p++;
        } else {
            message[at++] = *p;
        }
        if (at > sizeof message - 32) { fprintf(stderr, "too long a document\n"); exit(1); }
    }
    message[at++] = '}';
    send_frame(s, 1, message, at);
}

/* --- what is received ---------------------------------------------------------------------------------------------- */

static void parse_states(const char *p, size_t length) {
    const char *end = p + length, *found;
    state_count = 0;
    while ((found = memmem(p, (size_t)(end - p), "\"name\":\"", 8)) && state_count < WORKSTATIONS) {
        const char *quote = memchr(found + 8, '"', (size_t)(end - found - 8));
        if (!quote) return;
        const char *digits = quote;
        while (digits[-1] >= '0' && digits[-1] <= '9') digits--;
        State *state = &states[state_count];
        state->workstation = (uint32_t)atoi(digits) % WORKSTATIONS;
        const char *version = memmem(quote, (size_t)(end - quote), "\"version\":", 10);
        if (!version) return;
        state->version = (uint32_t)atoi(version + 10);
        const char *mark = memmem(version, (size_t)(end - version), "\"xPosition\":", 12);
        if (!mark) return;
        state->mark = (uint32_t)strtod(mark + 12, NULL);
        state_count++;
        p = mark;
    }
}

static void remember(const char *payload, size_t length) {
    if (length == last_length && memcmp(payload, last_payload, length) == 0) return;
    if (length > last_room) last_payload = realloc(last_payload, last_room = length * 2);
    memcpy(last_payload, payload, length);
    last_length = length;
    parse_states(payload, length);
}

static void record_arrival(Socket *s, uint32_t mark, double at) {
    if (arrival_count == arrival_room) {
        arrival_room = arrival_room ? arrival_room * 2 : 1 << 20;
        arrivals = realloc(arrivals, arrival_room * sizeof *arrivals);
        if (!arrivals) fail("realloc");
    }
    arrivals[arrival_count++] = (Arrival){(uint32_t)(s - sockets), mark, at};
}

static void receive_payload(Socket *s, const char *message, size_t length, double at) {
    if (!s->has_begun) {
        s->has_begun = 1;
        s->begun = now(CLOCK_MONOTONIC);
        counters[BEGUN]++;
    }
    const char *payload = memmem(message, length, "\"payload\":", 10);
    if (!payload) return;
    payload += 10;
    last_message_length = length;
    last_message = (char *)message; /* valid until the next read; copied when we stop */
    remember(payload, length - (size_t)(payload - message));
    counters[PAYLOADS]++;
    uint32_t highest = s->mark;
    for (int i = 0; i < state_count; i++) {
        State *state = &states[i];
        if (state->version <= s->versions[state->workstation]) {
            counters[REPEATED]++;
            continue;
        }
        s->versions[state->workstation] = state->version;
        counters[STATES]++;
        if (state->mark > highest) highest = state->mark;
        if (wants_arrivals) record_arrival(s, state->mark, at);
    }
    counters[MARKS] += highest - s->mark;
    s->mark = highest;
}

static void receive_message(Socket *s, const char *message, size_t length, double at) {
    const char *type = memmem(message, length < 200 ? length : 200, "\"type\":\"", 8);
    if (!type) return;
    type += 8;
    if (memcmp(type, "next", 4) == 0) {
        receive_payload(s, message, length, at);
    } else if (memcmp(type, "connection_ack", 14) == 0) {
        s->phase = SUBSCRIBED;
        opening--;
        counters[ACKNOWLEDGED]++;
        send_subscribe(s);
    } else if (memcmp(type, "ping", 4) == 0) {
        send_frame(s, 1, "{\"type\":\"pong\"}", 15);
    } else if (memcmp(type, "error", 5) == 0 || memcmp(type, "complete", 8) == 0) {
        if (counters[ERRORS]++ == 0) fprintf(stderr, "%.*s\n", (int)(length < 500 ? length : 500), message);
    }
}

static void hang_up(Socket *s) {
    if (s->phase != SUBSCRIBED) opening--;
    counters[CLOSED]++;
    close(s->fd);
    s->fd = -1;
    free(s->rest);
    s->rest = NULL;
    s->rest_length = 0;
}

static void say_why(const char *content, size_t size) {
    if (counters[CLOSED] || size < 2) return; /* the first is enough */
    fprintf(stderr, "closed with %d %.*s\n", (unsigned char)content[0] << 8 | (unsigned char)content[1],
            (int)size - 2, content + 2);
}

/* Returns how many bytes were whole frames; -1 if the socket is gone. */
static ssize_t receive_frames(Socket *s, const char *data, size_t length, double at) {
    size_t used = 0;
    while (length - used >= 2) {
        const unsigned char *head = (const unsigned char *)data + used;
        size_t header = 2, size = head[1] & 0x7f;
        if (size == 126) header = 4;
        if (size == 127) header = 10;
        if (length - used < header) break;
        if (header > 2) {
            size = 0;
            for (size_t i = 2; i < header; i++) size = size << 8 | head[i];
        }
        if (length - used < header + size) break;
        const char *content = data + used + header;
        used += header + size;
        switch (head[0]) {
        case 0x81: receive_message(s, content, size, at); break;
        case 0x89: send_frame(s, 10, content, size); break;
        case 0x8a: break;
        case 0x88: say_why(content, size); hang_up(s); return -1;
        default: fprintf(stderr, "frame of a kind that is not expected: %02x\n", head[0]); exit(1);
        }
    }
    return (ssize_t)used;
}

static void receive(Socket *s) {
    static char buffer[BUFFER];
    size_t length = s->rest_length;
    if (length) memcpy(buffer, s->rest, length);
    ssize_t got = read(s->fd, buffer + length, BUFFER - length);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { hang_up(s); return; }
    counters[BYTES] += (uint64_t)got;
    length += (size_t)got;
    size_t used = 0;
    if (s->phase == UPGRADING) {
        char *end = memmem(buffer, length, "\r\n\r\n", 4);
        if (end) {
            if (memcmp(buffer, "HTTP/1.1 101", 12)) {
                fprintf(stderr, "%.*s\n", (int)(end - buffer), buffer);
                exit(1);
            }
            used = (size_t)(end + 4 - buffer);
            s->phase = INITIALISING;
            send_init(s);
        }
    }
    if (s->phase >= INITIALISING) {
        ssize_t whole = receive_frames(s, buffer + used, length - used, now(CLOCK_REALTIME));
        if (whole < 0) return;
        used += (size_t)whole;
    }
    size_t left = length - used;
    if (left > s->rest_length || (left && !s->rest)) s->rest = realloc(s->rest, left);
    if (left) memcpy(s->rest, buffer + used, left);
    if (!left && s->rest) { free(s->rest); s->rest = NULL; }
    s->rest_length = left;
}

/* --- sockets ------------------------------------------------------------------------------------------------------- */

static void open_socket(void) {
    Socket *s = &sockets[opened];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[opened % port_count])};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0) fail("socket");
    s->opened = now(CLOCK_MONOTONIC);
    if (connect(s->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event)) fail("epoll_ctl");
    opened++;
    opening++;
}

static void connected(Socket *s) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { errno = error; hang_up(s); return; }
    int yes = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &event)) fail("epoll_ctl");
    s->phase = UPGRADING;
    counters[CONNECTED]++;
    send_upgrade(s);
}

/* --- the whole ----------------------------------------------------------------------------------------------------- */

static char *contents(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char *text = calloc(1, 16384);
    if (!fread(text, 1, 16383, file)) fail(path);
    fclose(file);
    return text;
}

static void save(const char *path, const void *data, size_t length) {
    FILE *file = fopen(path, "w");
    if (!file || fwrite(data, 1, length, file) != length || fclose(file)) fail(path);
}

static void stop(int signal) { (void)signal; stopped = 1; }

int main(int argc, char **argv) {
    int count = 0;
    double over = 0;
    const char *arrivals_path = NULL, *begun_path = NULL, *last_path = NULL, *counters_path = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--ports")) {
            for (char *p = strtok(argv[i + 1], ","); p && port_count < PORTS_MOST; p = strtok(NULL, ","))
                ports[port_count++] = atoi(p);
        } else if (!strcmp(name, "--sockets")) count = atoi(value);
        else if (!strcmp(name, "--first")) first = atoi(value);
        else if (!strcmp(name, "--over")) over = atof(value);
        else if (!strcmp(name, "--token")) token = value;
        else if (!strcmp(name, "--subscribe")) subscribe_payload = contents(value);
        else if (!strcmp(name, "--counters")) counters_path = value;
        else if (!strcmp(name, "--arrivals")) arrivals_path = value;
        else if (!strcmp(name, "--begun")) begun_path = value;
        else if (!strcmp(name, "--last")) last_path = value;
        else { fprintf(stderr, "unknown option %s\n", name); return 2; }
    }
    if (!port_count || !count || !token || !subscribe_payload || !counters_path) {
        fprintf(stderr, "see the top of subscribers.c\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    wants_arrivals = arrivals_path != NULL;
    int file = open(counters_path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, COUNTERS * 8)) fail(counters_path);
    counters = mmap(NULL, COUNTERS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) fail("mmap");
    sockets = calloc((size_t)count, sizeof *sockets);
    uint32_t *versions = calloc((size_t)count * WORKSTATIONS, sizeof *versions);
    if (!sockets || !versions) fail("calloc");
    for (int i = 0; i < count; i++) sockets[i].versions = versions + (size_t)i * WORKSTATIONS;

    epoll = epoll_create1(0);
    double began = now(CLOCK_MONOTONIC);
    struct epoll_event events[EVENTS];
    while (!stopped) {
        while (opened < count) {
            int due = over > 0 ? (int)((now(CLOCK_MONOTONIC) - began) / over * count) + 1 : opened + 1;
            if (due <= opened || (over == 0 && opening >= OPENING_MOST)) break;
            open_socket();
        }
        int ready = epoll_wait(epoll, events, EVENTS, opened < count ? 1 : 100);
        for (int i = 0; i < ready; i++) {
            Socket *s = events[i].data.ptr;
            if (s->fd < 0) continue;
            if (s->phase == CONNECTING) connected(s);
            else receive(s);
        }
    }

    if (arrivals_path) save(arrivals_path, arrivals, arrival_count * sizeof *arrivals);
    if (last_path && last_message) save(last_path, last_message, last_message_length);
    if (begun_path) {
        double *milliseconds = calloc((size_t)count, sizeof *milliseconds);
        int begun = 0;
        for (int i = 0; i < count; i++)
            if (sockets[i].has_begun) milliseconds[begun++] = (sockets[i].begun - sockets[i].opened) * 1000;
        save(begun_path, milliseconds, (size_t)begun * sizeof *milliseconds);
    }
    return 0;
}
