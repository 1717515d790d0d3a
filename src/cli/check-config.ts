// start.sh and restart.sh: whether both daemons would accept the configuration. Exit code 78 and
// every fault, or 0 and the warnings. With --settings, prints what keep-alive.sh has to remember:
// the base folder, the time zone (an empty line if none is set), and the log's format.
import { parseArgs } from 'node:util'
import { permissionWarnings, readEnvironment } from '../daemon/environment.ts'
import { readRecorderConfig } from '../recorder/config.ts'
import { baseFolder } from '../segments/installation.ts'
import { readUploaderConfig } from '../uploader/config.ts'
import { baseFolderFaults } from './base-folder.ts'
import { mergeChecks } from './merged-checks.ts'
import { count, wrap } from '../daemon/units.ts'

const width = 98
const refusedCode = 78

const { values } = parseArgs({ options: { settings: { type: 'boolean', default: false } } })
const environment = readEnvironment()
const { BASE_DIR, TZ = '', LOG_FORMAT = 'text' } = environment.variables
const base = baseFolder(BASE_DIR)
const { faults, warnings } = mergeChecks([
  readRecorderConfig(environment),
  readUploaderConfig(environment),
  { faults: baseFolderFaults(base) },
])

for (const warning of [...permissionWarnings(environment), ...warnings]) complain('!', warning)
for (const fault of faults) complain('✗', fault)
if (faults.length > 0) {
  process.stderr.write(`${count(faults.length, 'fault')} in ${environment.file}\n`)
  process.exitCode = refusedCode
} else if (values.settings) {
  process.stdout.write(`${base}\n${TZ}\n${LOG_FORMAT.trim().toLowerCase()}\n`)
}

function complain(mark: string, text: string): void {
  process.stderr.write(`${wrap(`${mark} ${text}`, width, 2).join('\n')}\n`)
}
