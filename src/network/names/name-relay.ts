import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from 'node:dgram';
import { connect, createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import { openListener } from '../../linux/network/open-listener.ts';

const port = 53;
/** Milliseconds until the next server is asked, and until a question is given up: resolvers ask again after five seconds. */
const patience = 2_000;
const lastPatience = 5_000;
/** How many questions of a step may be open, and how many connections. More are not answered. */
const mostQuestions = 200;
const mostConnections = 20;

/**
 * Answers a step's DNS questions, at an address of the loopback interface in its namespace, by passing them on to name servers that only the machine itself
 * reaches. Questions and answers pass as they are.
 */
export class NameRelay implements Disposable {
  /** What the step's `/etc/resolv.conf` has to name. */
  readonly address = '127.0.0.11';
  readonly #servers: readonly string[];
  readonly #datagrams: DatagramSocket;
  readonly #listener: Server;
  readonly #questions = new Set<Question>();
  readonly #connections = new Set<Socket>();

  /** `servers` are IP addresses, asked in order until one answers; there is at least one. Throws a SystemError. */
  constructor(namespace: NetworkNamespace, servers: readonly string[]) {
    this.#servers = servers;
    const [udp, tcp] = namespace.run(() => [
      openListener('udp', this.address, port),
      openListener('tcp', this.address, port),
    ]) as [number, number];
    this.#datagrams = createSocket('udp4');
    // Whoever asked is gone.
    this.#datagrams.on('error', () => {});
    this.#datagrams.on('message', (data, from) => this.#ask(data, from));
    this.#datagrams.bind({ fd: udp });
    this.#listener = createServer({ allowHalfOpen: true }, (client) => this.#connect(client));
    this.#listener.maxConnections = mostConnections;
    this.#listener.on('error', () => {});
    this.#listener.listen({ fd: tcp });
  }

  [Symbol.dispose](): void {
    this.#datagrams.close();
    this.#listener.close();
    for (const question of this.#questions) question.end();
    for (const connection of this.#connections) connection.destroy();
  }

  #ask(data: Buffer, from: RemoteInfo): void {
    if (this.#questions.size >= mostQuestions) return;
    const question = new Question(this.#servers, data, {
      onAnswer: (answer) => this.#datagrams.send(answer, from.port, from.address),
      onEnd: () => this.#questions.delete(question),
    });
    this.#questions.add(question);
    question.begin();
  }

  #connect(client: Socket): void {
    const server = connect({ host: this.#servers[0]!, port, allowHalfOpen: true });
    for (const socket of [client, server]) {
      this.#connections.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#connections.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server).pipe(client);
  }
}

/** A datagram that waits for its answer. */
class Question {
  readonly #servers: readonly string[];
  readonly #data: Buffer;
  readonly #events: { onAnswer(answer: Buffer): void; onEnd(): void };
  readonly #asked: DatagramSocket[] = [];
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(
    servers: readonly string[],
    data: Buffer,
    events: { onAnswer(answer: Buffer): void; onEnd(): void },
  ) {
    this.#servers = servers;
    this.#data = data;
    this.#events = events;
  }

  begin(): void {
    this.#askNext();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    for (const socket of this.#asked) socket.close();
    this.#events.onEnd();
  }

  /** Those that were asked before may still answer. */
  #askNext(): void {
    if (this.#hasEnded) return;
    clearTimeout(this.#timer);
    const server = this.#servers[this.#asked.length];
    if (server === undefined) {
      this.end();
      return;
    }
    const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
    this.#asked.push(socket);
    const isLast = this.#asked.length === this.#servers.length;
    this.#timer = setTimeout(() => this.#askNext(), isLast ? lastPatience : patience);
    socket.on('error', () => {
      if (this.#asked.at(-1) === socket) this.#askNext();
    });
    socket.on('message', (answer) => {
      this.#events.onAnswer(answer);
      this.end();
    });
    // Connected, it takes answers from nobody else.
    socket.on('connect', () => {
      if (!this.#hasEnded) socket.send(this.#data);
    });
    socket.connect(port, server);
  }
}
