import { Command } from 'commander';
import { definitionOptions, frontendFlags } from '../build-command.ts';
import { repeatable } from '../repeatable-option.ts';

/** The flags and texts of `kiln verify`. */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description(
      'check that the provenance of an image names this definition, and say what differs; signatures are not checked',
    )
    .argument(
      '<image>',
      'an image that is kept here or in a registry, or in a layout: oci-layout://dir[:tag][@digest]',
    )
    .argument('[path]', 'the context, as for kiln build; without it, LLB from standard input')
    .addOption(
      repeatable('--registry-auth-tlscontext <host=…,ca=…>', 'TLS for getting registry tokens (repeatable)'),
    );
  return frontendFlags(definitionOptions(command));
}
