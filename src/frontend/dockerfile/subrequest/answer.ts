import { goJson } from '../../../base/json/go-json.ts';
import type { FrontendResult } from '../../frontend.ts';
import type { Subrequest } from './subrequest.ts';

/** What a subrequest found out: for programs, and for people. */
export interface Answer {
  readonly json: unknown;
  readonly text: string;
  /** What a command that only asks this should exit with. */
  readonly statusCode?: number;
}

/** An answer as the metadata of a result without files. */
export function answerResult({ version }: Subrequest, { json, text, statusCode }: Answer): FrontendResult {
  const metadata = {
    'result.json': goJson(json, { indent: 2 }),
    'result.txt': text,
    ...(statusCode !== undefined && { 'result.statuscode': String(statusCode) }),
    version,
  };
  return {
    refs: new Map([['', undefined]]),
    metadata: new Map(Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value)])),
  };
}
