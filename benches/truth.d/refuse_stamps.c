/* Refuses SO_TIMESTAMPING to a program that is linked with this: its times are those of its own clock then. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int socket, int level, int name, const void *value, socklen_t size) {
    if (level == SOL_SOCKET && name == SO_TIMESTAMPING) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return syscall(SYS_setsockopt, socket, level, name, value, size);
}
