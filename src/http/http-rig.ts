import { execFile } from 'node:child_process';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

/** A file as a server has it. */
export interface ServedFile {
  readonly content: string | Uint8Array;
  /** With its quotes; a request that names it gets 304. */
  readonly etag?: string;
  /** More headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface SeenRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/** In PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate of 127.0.0.1 that nobody trusts. */
export async function selfSigned(): Promise<ServerCertificate> {
  const make = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  const of = ['-subj', '/CN=rig', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', '-', '-out', '-'];
  const { stdout } = await promisify(execFile)('openssl', [...make, ...of]);
  const begins = stdout.indexOf('-----BEGIN CERTIFICATE');
  return { key: stdout.slice(0, begins), cert: stdout.slice(begins) };
}

export interface HttpRigOptions {
  /** Plain HTTP, unless it has a certificate. */
  readonly tls?: ServerCertificate;
  /** Answers requests for paths that are not served. By default the answer is 404. */
  readonly otherwise?: RequestListener;
}

/** For tests: an HTTP server on loopback that remembers what it was asked. */
export class HttpRig implements AsyncDisposable {
  readonly #server: Server;
  readonly #routes = new Map<string, RequestListener>();
  readonly #seen = new Map<string, SeenRequest[]>();
  readonly #scheme: 'http' | 'https';

  private constructor({ tls, otherwise = notFound }: HttpRigOptions) {
    const answer: RequestListener = (request, response) => {
      const path = request.url ?? '';
      const { method = '', headers } = request;
      this.#seen.set(path, [...this.requests(path), { method, headers }]);
      const route = this.#routes.get(path) ?? otherwise;
      route(request, response);
    };
    this.#scheme = tls ? 'https' : 'http';
    this.#server = tls ? createTlsServer(tls, answer) : createServer(answer);
  }

  static async start(options: HttpRigOptions = {}): Promise<HttpRig> {
    const rig = new HttpRig(options);
    await new Promise<void>((resolve) => rig.#server.listen(0, '127.0.0.1', resolve));
    return rig;
  }

  /** `host:port`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  url(path: string): string {
    return `${this.#scheme}://${this.host}${path}`;
  }

  /** Serves a file, or what `file` does, from now on. Returns the URL. */
  serve(path: string, file: ServedFile | RequestListener): string {
    this.#routes.set(path, typeof file === 'function' ? file : listenerFor(file));
    return this.url(path);
  }

  /** In the order they came. */
  requests(path: string): readonly SeenRequest[] {
    return this.#seen.get(path) ?? [];
  }

  /** The methods of all requests for a path. */
  methods(path: string): readonly string[] {
    return this.requests(path).map(({ method }) => method);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const notFound: RequestListener = (_, response) => {
  response.writeHead(404).end('nothing here\n');
};

function listenerFor({ content, etag, headers }: ServedFile): RequestListener {
  return (request, response) => {
    const unchanged = etag !== undefined && request.headers['if-none-match'] === etag;
    response.writeHead(unchanged ? 304 : 200, { ...(etag !== undefined && { etag }), ...headers });
    response.end(unchanged ? undefined : content);
  };
}
