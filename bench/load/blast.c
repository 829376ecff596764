/* The least that a server can do, to show that the load generator is not the limit: sends one frame to all, in C.
 *
 *   blast SOCKETS MESSAGE_FILE COUNTERS_FILE
 *
 * Prints its port, takes that many graphql-transport-ws subscribers without looking at what they say, then sends the
 * message to each of them, round after round, at most AHEAD rounds ahead of what they have counted as received.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAYLOADS = 3, COUNTERS = 10, AHEAD = 20, MESSAGE_MOST = 60000 };

static void fail(const char *what) { perror(what); exit(1); }

static size_t framed(char *frame, const char *message, size_t length) {
    size_t at = 0;
    frame[at++] = (char)0x81;
    if (length < 126) {
        frame[at++] = (char)length;
    } else {
        frame[at++] = 126;
        frame[at++] = (char)(length >> 8);
        frame[at++] = (char)length;
    }
    memcpy(frame + at, message, length);
    return at + length;
}

static void put(int fd, const char *data, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t part = write(fd, data + sent, length - sent);
        if (part <= 0) exit(0); /* the subscribers are gone */
        sent += (size_t)part;
    }
}

static int accept_one(int listening) {
    static const char upgraded[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    static const char ack[] = "{\"type\":\"connection_ack\"}";
    char buffer[16384], frame[64];
    int fd = accept(listening, NULL, NULL), yes = 1;
    if (fd < 0) fail("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (read(fd, buffer, sizeof buffer) <= 0) fail("read"); /* the upgrade */
    put(fd, upgraded, sizeof upgraded - 1);
    if (read(fd, buffer, sizeof buffer) <= 0) fail("read"); /* connection_init */
    put(fd, frame, framed(frame, ack, sizeof ack - 1));
    if (read(fd, buffer, sizeof buffer) <= 0) fail("read"); /* subscribe */
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    int count = atoi(argv[1]);
    static char message[MESSAGE_MOST], frame[MESSAGE_MOST + 4];
    FILE *file = fopen(argv[2], "r");
    if (!file) fail(argv[2]);
    size_t length = framed(frame, message, fread(message, 1, sizeof message, file));
    int shared = open(argv[3], O_RDWR | O_CREAT, 0600);
    if (shared < 0 || ftruncate(shared, COUNTERS * 8)) fail(argv[3]);
    volatile uint64_t *counters = mmap(NULL, COUNTERS * 8, PROT_READ, MAP_SHARED, shared, 0);

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *)&at, size) || listen(listening, 4096)) fail("listen");
    getsockname(listening, (struct sockaddr *)&at, &size);
    printf("ready %d\n", ntohs(at.sin_port));
    fflush(stdout);

    int *clients = calloc((size_t)count, sizeof *clients);
    for (int i = 0; i < count; i++) clients[i] = accept_one(listening);
    for (uint64_t round = 0;; round++) {
        while (round > counters[PAYLOADS] / (uint64_t)count + AHEAD) usleep(50);
        for (int i = 0; i < count; i++) put(clients[i], frame, length);
    }
}
