import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientTls } from '../api/grpc-connection.ts';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';

/** Files in PEM form, and the name the daemon's certificate must be made out to. */
export interface ClientTlsFiles {
  readonly serverName?: string;
  readonly caCertificate?: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** Reads the files; undefined when none is named. Throws `invalid_argument` for a certificate without key and the reverse. */
export async function loadClientTls(files: ClientTlsFiles): Promise<ClientTls | undefined> {
  const { serverName, caCertificate, certificate, key } = files;
  if ((certificate === undefined) !== (key === undefined)) {
    throw new KilnError('invalid_argument', 'a TLS client certificate and its key must be given together', {
      hint: 'give both --tlscert and --tlskey',
    });
  }
  if (caCertificate === undefined && certificate === undefined) return undefined;
  const read = async (path: string | undefined) => {
    if (path === undefined) return undefined;
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      throw asKilnError(error).wrap(`cannot read TLS file ${path}`);
    }
  };
  return { serverName, ca: await read(caCertificate), cert: await read(certificate), key: await read(key) };
}

/** Finds the files in a directory: `ca.pem`, `cert.pem`, `key.pem`, or `ca.crt`, `tls.crt`, `tls.key`. Throws `not_found`. */
export async function clientTlsFilesIn(directory: string): Promise<ClientTlsFiles> {
  const firstOf = async (...names: readonly string[]) => {
    for (const name of names) {
      const path = join(directory, name);
      try {
        await access(path);
        return path;
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`TLS directory ${directory}`);
      }
    }
    throw new KilnError('not_found', `TLS directory ${directory} has no ${names.join(' or ')}`);
  };
  return {
    caCertificate: await firstOf('ca.pem', 'ca.crt'),
    certificate: await firstOf('cert.pem', 'tls.crt'),
    key: await firstOf('key.pem', 'tls.key'),
  };
}
