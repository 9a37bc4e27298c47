/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rendezvous: from a table of addresses, one per rank, to a connection between every two nodes.
 *
 * Every node has a listening socket at its address before any node connects. A node connects to all lower
 * ranks and says HELLO; the other side checks it and answers with its own. A HELLO names the job (a random
 * number), the sender's rank, the number of nodes and the process. Strangers are turned away and do not
 * disturb. All on one thread.           */
#ifndef PM_REAL_JOIN_H
#define PM_REAL_JOIN_H

#include <netinet/in.h>
#include <stdint.h>

#include "core/error.h"

enum { REAL_WIRE_VERSION = 1 };

struct real_port_range {
    uint16_t first, last; /* 0: the kernel's choice */
};

/* Parses "A-B", or NULL / "" for the kernel's choice. PM_E_OPTION. */
int real_port_range_parse(const char *text, struct real_port_range *range, struct pm_error *err);

/* Opens one listening socket per node on the loopback address. PM_OK; PM_E_OPTION: fewer ports than nodes;
 * PM_E_PEER: a port is taken; PM_E_LIMIT. Nothing is left open after an error. */
int real_listen(const struct real_port_range *range, uint32_t nodes, struct sockaddr_in *addresses,
                int *listeners, struct pm_error *err);

struct real_link {
    int fd; /* non-blocking, TCP_NODELAY; -1: this node itself */
    int process;
};

struct real_rendezvous {
    uint32_t rank, nodes;
    uint64_t job;                        /* random, the same at all nodes */
    int listener;                        /* of this node; stays open */
    const struct sockaddr_in *addresses; /* by rank */
    int64_t timeout_ns;
    uint64_t socket_buffer_bytes; /* 0: the kernel's choice */
};

/* Fills links[0..nodes). PM_OK; PM_E_PEER with the ranks that are missing; PM_E_LIMIT, PM_E_MEMORY. Nothing
 * is left open after an error. */
int real_join(const struct real_rendezvous *r, struct real_link *links, struct pm_error *err);

#endif
