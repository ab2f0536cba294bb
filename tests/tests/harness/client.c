/* A pod that needs what pods need: finds the API server by name, reaches it by its service's address, and leaves. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    for (int attempt = 0; attempt < 50; attempt++, usleep(200000)) {
        if (getaddrinfo("kubernetes.default.svc", "443", &hints, &found))
            continue;
        int connection = socket(found->ai_family, found->ai_socktype, 0);
        if (connect(connection, found->ai_addr, found->ai_addrlen) == 0) {
            puts("reached");
            return 0;
        }
        close(connection);
        freeaddrinfo(found);
    }
    return 1;
}
