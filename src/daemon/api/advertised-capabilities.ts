import { create } from '@bufbuild/protobuf';
import { type APICap, APICapSchema } from '../../api/gen/caps_pb.js';
import { capabilities } from '../../llb/vertex-capabilities.ts';

/** The parts of BuildKit's gateway API that are served, by the names that its clients look for. */
const gateway = [
  'solve.base',
  'resolveimage',
  'resolveimage.resolvemode',
  'readfile',
  'return',
  'returnmap',
  'readdir',
  'statfile',
  'proto.refarray',
  'reference.output',
  'frontend.inputs',
  'gateway.solve.metadata',
  'frontend.caps',
  'gateway.solve.evaluate',
  'gateway.evaluate',
  'gateway.warnings',
  'source.metaresolver',
  'source.metaresolver.http.checksumrequest',
];

const enabled = (id: string): APICap => create(APICapSchema, { id, enabled: true });

export const frontendCapabilities: APICap[] = gateway.map(enabled);

export const llbCapabilities: APICap[] = Object.values(capabilities).map(enabled);
