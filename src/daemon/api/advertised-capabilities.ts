import { create } from '@bufbuild/protobuf';
import { type APICap, APICapSchema } from '../../api/gen/caps_pb.js';
import { capabilities } from '../../llb/vertex-capabilities.ts';

/** The parts of BuildKit's gateway API that are served, by the names that its clients look for. */
const gateway = [
  'solve.base',
  'importcaches',
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
  'gateway.exec',
  'gateway.exec.extrahosts',
  'gateway.exec.filesystem',
  'gateway.exec.secretenv',
  'gateway.exec.signals',
  'gateway.warnings',
  'reference.attestations',
  'source.metaresolver',
  'source.metaresolver.image.attestations',
  'source.metaresolver.http.checksumrequest',
];

/** What requests to solve may ask for, by the names that clients look for among those of vertices. */
const requests = [
  'cache.azblob',
  'cache.gha',
  'cache.s3',
  'exporter.image.annotations',
  'exporter.image.attestations',
  'exporter.multiple',
  'exporter.session',
  'exporter.sourcedateepoch',
  'gc.freespacefilter',
  'source.policy',
  'source.policy.session',
];

const enabled = (id: string): APICap => create(APICapSchema, { id, enabled: true });

export const frontendCapabilities: APICap[] = gateway.map(enabled);

export const llbCapabilities: APICap[] = [...Object.values(capabilities), ...requests].map(enabled);
