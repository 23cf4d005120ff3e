import { KilnError } from '../base/errors.ts';
import type { Attributes } from '../base/text/attributes.ts';
import type { ContentStore } from '../content/content.ts';
import type { LayerExport } from '../ref/layer-export.ts';
import type { LayerImport } from '../ref/layer-import.ts';
import type { CacheBackendType } from './cache-backend.ts';
import { CacheExport } from './export/cache-export.ts';
import { parseCacheExportOptions } from './export/cache-export-options.ts';
import { CacheImports } from './import/cache-imports.ts';

export interface RemoteCachesServices {
  readonly types: ReadonlyMap<string, CacheBackendType>;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
  readonly layerExport: LayerExport;
}

/** The caches of this daemon's builds outside of it. */
export class RemoteCaches {
  readonly imports: CacheImports;
  readonly #services: RemoteCachesServices;

  constructor(services: RemoteCachesServices) {
    this.#services = services;
    this.imports = new CacheImports(services);
  }

  /** Throws `invalid_argument` for a type or options that are wrong. */
  openExport(type: string, attributes: Attributes): CacheExport {
    const known = this.#services.types.get(type);
    if (!known) {
      throw new KilnError('invalid_argument', `unknown cache exporter: ${JSON.stringify(type)}`, {
        hint: `this daemon has ${[...this.#services.types.keys(), 'inline'].join(', ')}`,
      });
    }
    const backend = known.open(attributes, 'export');
    return new CacheExport(known.exportName, backend, parseCacheExportOptions(attributes), this.#services);
  }
}
