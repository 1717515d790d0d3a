import { pino, stdTimeFunctions } from 'pino'
import type { Clock } from './clock.ts'
import { LogFile, type LogFileOptions } from './log-file.ts'
import { localTime } from './local-time.ts'
import type { Redactor } from './redact.ts'

/** As the original's LOG_LEVEL spells them. */
export const logLevels = ['DEBUG', 'INFO', 'WARNING', 'ERROR'] as const
type LogLevel = (typeof logLevels)[number]

export interface LogOptions extends LogFileOptions {
  level: LogLevel
  format: 'text' | 'json'
}

type Fields = Record<string, unknown>

/** Fields, then a fixed sentence. `camera` and `file` lead the line; the rest follows as key=value. */
export interface Log {
  debug(fields: Fields, sentence: string): void
  info(fields: Fields, sentence: string): void
  warn(fields: Fields, sentence: string): void
  error(fields: Fields, sentence: string): void
}

const pinoLevels = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' } as const

/** A logger that writes each line, scrubbed of secrets, to the log file and to stdout. */
export function createLog(options: LogOptions, redactor: Redactor, clock: Clock): Log {
  const file = new LogFile(options, clock)
  // A terminal or pipe may go away; that is no reason to stop recording.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const destination = {
    write(json: string): void {
      const line = redactor.scrub(options.format === 'json' ? json : textLine(json))
      file.append(line)
      process.stdout.write(line)
    },
  }
  return pino(
    {
      level: pinoLevels[options.level],
      base: { daemon: options.daemon },
      timestamp: stdTimeFunctions.epochTime,
      serializers: { error: describeError },
    },
    destination,
  )
}

/** What failed and why, down to the first cause; with its stack when it is a fault of ours. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `: ${describeError(error.cause)}`
  return `${error.message || error.name}${cause}`
}

/** A line as Loguru wrote it: `2025-01-25 15:30:45.123 | INFO     | Front: recording started`. */
export function formatLine(epochMs: number, level: string, message: string): string {
  const { date, time, fraction } = localTime(epochMs)
  const oneLine = message.replaceAll(/\s*[\r\n]+\s*/g, ' ⏎ ')
  return `${date} ${time}${fraction} | ${level.padEnd(8)} | ${oneLine}\n`
}

function textLine(json: string): string {
  const { level, time, daemon: _, msg, camera, file, ...fields } = JSON.parse(json) as Fields
  const subject = camera ?? file
  const rest = camera === undefined || file === undefined ? fields : { file, ...fields }
  const details = Object.entries(rest).map(([name, value]) => `${name}=${textValue(value)}`)
  const sentence = `${subject === undefined ? '' : `${textValue(subject, '')}: `}${String(msg)}`
  const message = details.length === 0 ? sentence : `${sentence} (${details.join(', ')})`
  return formatLine(Number(time), levelName(Number(level)), message)
}

function textValue(value: unknown, quote = '"'): string {
  if (typeof value === 'string') return /[\s,()]/.test(value) ? `${quote}${value}${quote}` : value
  return JSON.stringify(value)
}

function levelName(level: number): LogLevel {
  if (level >= 50) return 'ERROR'
  if (level >= 40) return 'WARNING'
  return level >= 30 ? 'INFO' : 'DEBUG'
}
