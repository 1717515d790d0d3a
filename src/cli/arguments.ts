import { parseArgs, type ParseArgsConfig } from 'node:util'
import { describeError } from '../daemon/logger.ts'

/** sysexits.h calls it EX_USAGE. */
const wrongUsageCode = 64

/** What a script was given; ends the program with its usage where that is asked for, or can't be read. */
export function readArguments<const T extends ParseArgsConfig>(
  config: T,
  usage: string,
): ReturnType<typeof parseArgs<T>> {
  // Of `find.sh … | head` nobody reads on: what else it was told to do is done all the same.
  process.stdout.on('error', () => {})
  if (process.argv.includes('--help')) {
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    return refuse(`${describeError(error)}\n${usage}`)
  }
}

/** Ends the program: something it was given makes no sense. */
export function refuse(text: string): never {
  process.stderr.write(`${text}\n`)
  process.exit(wrongUsageCode)
}
