import { setMaxListeners } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Alerting, type AlertOptions } from './alerting.ts'
import type { Trouble } from './alerts.ts'
import { systemClock, type Clock } from './clock.ts'
import {
  applyEnvironment,
  describeFault,
  permissionWarnings,
  readEnvironment,
  type Checked,
  type Environment,
} from './environment.ts'
import { takeLock, writePid } from './lock.ts'
import { createLog, describeError, type Log, type LogOptions } from './logger.ts'
import { Redactor } from './redact.ts'
import { keepStatus, readStatus } from './status-file.ts'

/** The exit code of a daemon whose configuration cannot work (EX_CONFIG of sysexits.h). */
const refusedCode = 78

/** One Ctrl-C, or one stop of systemd's, is two signals where npm passes its own on. */
const sameRequestMs = 1000

const alertedAtMostMs = 500

/** What every daemon needs of its configuration. */
export interface DaemonConfig {
  log: Omit<LogOptions, 'daemon'>
  statusFolder: string
  /** What must never be read anywhere. */
  secrets: string[]
  /** Undefined: it watches nobody, and tells nobody of anything. */
  alerts?: AlertOptions
}

export interface DaemonContext<C> {
  config: C
  environment: Environment
  log: Log
  redactor: Redactor
  clock: Clock
  /** What the last process of this daemon said last; undefined if nothing can be read. */
  lastStatus: unknown
  /** Says what the status file holds from now on. */
  publish: (status: () => Record<string, unknown>) => void
  /** Says how to learn from now on what somebody must be told of, and which subjects are no more. */
  alertOn: (troubles: () => Promise<Trouble[]>, isGone?: (subject: string) => boolean) => void
}

export interface Daemon<C> {
  name: string
  configure(environment: Environment): Checked<C>
  /** Runs until the signal aborts, and ends in order within 8 s of it. */
  run(context: DaemonContext<C>, signal: AbortSignal): Promise<void>
}

/**
 * The life of a daemon: configuration, lock, log and status around `run`, and an exit code:
 * 0 after a clean stop, 78 for a configuration that cannot work, 1 for anything else.
 */
export async function runDaemon<C extends DaemonConfig>(daemon: Daemon<C>): Promise<never> {
  process.umask(0o077)
  const environment = readEnvironment()
  applyEnvironment(environment)
  const checked = daemon.configure(environment)
  if ('faults' in checked) {
    for (const fault of checked.faults) process.stderr.write(`${describeFault(fault)}\n`)
    process.exit(refusedCode)
  }
  const { config } = checked
  mkdirSync(config.statusFolder, { recursive: true })
  takeLocks(daemon.name, environment.runFolder, config.statusFolder)

  const clock = systemClock
  const redactor = new Redactor()
  redactor.add(...config.secrets)
  const log = createLog({ ...config.log, daemon: daemon.name }, redactor, clock)
  logWhatNobodyExpected(log)
  const stop = stopSignal(daemon.name, log, clock)
  for (const warning of [...permissionWarnings(environment), ...checked.warnings])
    log.warn({}, warning)

  let status: () => Record<string, unknown> = () => ({})
  const ended = new AbortController()
  const { statusFolder: folder } = config
  const options = { daemon: daemon.name, folder, runFolder: environment.runFolder }
  const scrub = (text: string): string => redactor.scrub(text)
  const lastStatus = readStatus(options)
  const alerting =
    config.alerts &&
    new Alerting({
      ...config.alerts,
      ...{ daemon: daemon.name, statusFolder: folder, lastStatus, scrub, log, clock },
    })
  const content = (): Record<string, unknown> => ({ ...status(), ...alerting?.status })
  const statusKept = keepStatus({ ...options, scrub }, content, clock, ended.signal)
  const alerted = alerting?.run(stop)
  log.info({ pid: process.pid, node: process.version }, `${daemon.name} started`)
  const publish = (next: typeof status): void => void (status = next)
  const alertOn: DaemonContext<C>['alertOn'] = (...how) => alerting?.on(...how)
  const context = { config, environment, log, redactor, clock, lastStatus, publish, alertOn }
  await daemon.run(context, stop)
  // A disk that is gone may hold it for ever.
  await Promise.race([alerted, clock.sleep(alertedAtMostMs)])
  ended.abort()
  await statusKept
  log.info({}, `${daemon.name} stopped`)
  process.exit(0)
}

/** One daemon an installation, and one a BASE_DIR: two would write to the same files. */
function takeLocks(name: string, runFolder: string, statusFolder: string): void {
  const lock = join(runFolder, name)
  if (!takeLock(`${lock}.lock`))
    refuse(`another ${name} of this installation is running (${lock}.pid)`)
  if (!mayLock(join(statusFolder, `${name}.lock`)))
    refuse(`the ${name} of another ENV_FILE works in the same BASE_DIR: give each its own`)
  writePid(`${lock}.pid`)
}

/** BASE_DIR may lie on a file system that knows no locks. */
function mayLock(lockFile: string): boolean {
  try {
    return takeLock(lockFile)
  } catch {
    return true
  }
}

function refuse(reason: string): never {
  process.stderr.write(`${reason}\n`)
  process.exit(1)
}

/** Aborts at the first signal that asks to stop; one that comes later ends the process at once. */
function stopSignal(name: string, log: Log, clock: Clock): AbortSignal {
  const controller = new AbortController()
  // Each camera listens, and each part of a daemon: Node warns of more than ten.
  setMaxListeners(0, controller.signal)
  let firstMs: number | undefined
  const stop = (signal: NodeJS.Signals): void => {
    if (firstMs === undefined) {
      firstMs = clock.monotonicMs()
      log.info({ signal }, `${name} stopping`)
      controller.abort()
    } else if (clock.monotonicMs() - firstMs > sameRequestMs) {
      log.warn({ signal }, `${name} ends at once`)
      process.exit(1)
    }
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
  return controller.signal
}

function logWhatNobodyExpected(log: Log): void {
  const end = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined
    log.error({ reason: describeError(error), stack }, 'unexpected failure; ending')
    process.exit(1)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
  // Node's own listener prints to stderr, in a form of its own.
  process.removeAllListeners('warning')
  process.on('warning', ({ message }) => {
    const text = message.replaceAll(/\s+/g, ' ')
    // What the AWS SDK will need one day is nothing for the operator to mend.
    if (text.includes('will require node')) log.debug({}, text)
    else log.warn({}, text)
  })
}
