import { create } from '@bufbuild/protobuf';
import { type CacheMissCause, CacheMissCauseSchema } from '../../api/gen/control_pb.js';
import type { Cause } from '../../engine/explain/cause.ts';

/** The message for a cause. */
export function causeMessage(cause: Cause): CacheMissCause {
  switch (cause.kind) {
    case 'no-cache':
    case 'pruned':
    case 'new':
    case 'files':
    case 'source':
      return create(CacheMissCauseSchema, cause);
    case 'file': {
      const { path: name, ...rest } = cause;
      return create(CacheMissCauseSchema, { name, ...rest });
    }
    case 'command':
    case 'platform':
    case 'variable':
    case 'mount':
    case 'option':
    case 'image':
    case 'follows':
      return create(CacheMissCauseSchema, cause);
    case 'parent': {
      const { kind, step, cause: root } = cause;
      return create(CacheMissCauseSchema, { kind, step, root: root && causeMessage(root) });
    }
  }
}
