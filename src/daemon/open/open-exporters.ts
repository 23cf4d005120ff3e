import { version } from '../../base/version.ts';
import type { ExporterType } from '../../exporter/exporter.ts';
import { createLocalExporter } from '../../exporter/files/local-exporter.ts';
import { createTarExporter } from '../../exporter/files/tar-exporter.ts';
import { createArchiveExporter } from '../../exporter/image/archive-exporter.ts';
import { createImageExporter } from '../../exporter/image/image-exporter.ts';
import type { Registry } from '../../registry/registry.ts';
import type { EngineClients } from './open-clients.ts';
import type { EngineStorage } from './open-storage.ts';
import type { EngineThreads } from './open-threads.ts';

export interface ExportersOptions {
  readonly storage: EngineStorage;
  readonly threads: EngineThreads;
  readonly clients: EngineClients;
  readonly registry: Registry;
}

/** Every exporter there is, by type: a new one is added to the list here. */
export function openExporters(options: ExportersOptions): ReadonlyMap<string, ExporterType> {
  const { threads, registry } = options;
  const { layerExport, content, images } = options.storage;
  const { sessions, credentials, output } = options.clients;
  const writer = { layerExport, content, pool: threads.files, tool: `kiln-${version}` };
  const all = [
    createImageExporter({ ...writer, registry, credentials, images }),
    createArchiveExporter('oci', { ...writer, output, sessions }),
    createArchiveExporter('docker', { ...writer, output, sessions }),
    createTarExporter({ output, pool: threads.tarballs }),
    createLocalExporter({ output, pool: threads.files }),
  ];
  return new Map(all.map((exporter) => [exporter.type, exporter]));
}
