import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'dotenv'
import type { z } from 'zod'
import { maskUrls } from './redact.ts'

/** Where the program itself lies; the same for `src/` and `dist/`. */
export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

/** What the operator has said: the file that ENV_FILE names, under the real environment. */
export interface Environment {
  /** The real path of ENV_FILE, or of `.env` at the project's root. */
  file: string
  /** Whether that file exists. */
  found: boolean
  /** Why it could not be read, or isn't there although ENV_FILE names another than the default. */
  fault?: ConfigFault
  /** Locks and PIDs of this installation; depends on nothing that the file says. */
  runFolder: string
  /** Without those that are empty: an empty variable is one that isn't set. */
  variables: Record<string, string>
  /** Each assignment as the file spells it, in order, twice where it stands twice. */
  assignments: Assignment[]
}

interface Assignment {
  variable: string
  /** What stands behind the `=`, comments and quotes included. */
  raw: string
}

/** One thing about the configuration that cannot work. */
export interface ConfigFault {
  variable: string
  /** What was found, secrets masked; without it, nothing was. */
  found?: string
  expected: string
}

/** A configuration with what is worth a warning, or every fault in it at once. */
export type Checked<T> = { config: T; warnings: string[] } | { faults: ConfigFault[] }

/** Reads ENV_FILE and the process's environment, which wins; a file that is missing is empty. */
export function readEnvironment(
  processVariables: Record<string, string | undefined> = process.env,
): Environment {
  const named = processVariables.ENV_FILE
  const file = realPath(resolve(named || join(projectRoot, '.env')))
  const found = existsSync(file)
  // The scripts name the default, too; without it real variables may say everything.
  const mayBeMissing = !named || file === realPath(join(projectRoot, '.env'))
  const { text, fault } = readText(file, found, mayBeMissing)
  const key = createHash('sha256').update(file).digest('hex').slice(0, 12)
  const merged = { ...parse(text), ...processVariables }
  return {
    file,
    found,
    ...(fault ? { fault } : {}),
    runFolder: join(projectRoot, 'data', 'run', key),
    variables: Object.fromEntries(
      Object.entries(merged).flatMap(([name, value]) => (value?.trim() ? [[name, value]] : [])),
    ),
    assignments: [...text.matchAll(/^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)[ \t]*(.*?)\s*$/gm)].map(
      ([, variable = '', raw = '']) => ({ variable, raw }),
    ),
  }
}

function readText(
  file: string,
  found: boolean,
  mayBeMissing: boolean,
): { text: string; fault?: ConfigFault } {
  const expected = 'a file that can be read: make one with cp .env.example .env'
  if (!found)
    return mayBeMissing
      ? { text: '' }
      : { text: '', fault: { variable: 'ENV_FILE', found: `no ${file}`, expected } }
  try {
    return { text: readFileSync(file, 'utf8') }
  } catch (error) {
    const problem = `${file}: ${(error as Error).message}`
    return { text: '', fault: { variable: 'ENV_FILE', found: problem, expected } }
  }
}

/** dotenv ends an unquoted value at any `#`; the original did so only at one behind a space. */
export function isCutShort(variable: string, { variables, assignments }: Environment): boolean {
  const value = variables[variable]?.trim()
  const raw = assignments.findLast((assignment) => assignment.variable === variable)?.raw ?? ''
  return value !== undefined && /^(?!['"`])[^#]*[^#\s]#/.test(raw) && raw.startsWith(`${value}#`)
}

/**
 * Checks the variables that begin with `prefix` against a schema, of names without it, whose
 * messages say what is expected of each. What is cut short is not judged: see readInstallation.
 */
export function checkVariables<T>(
  schema: z.ZodType<T>,
  environment: Environment,
  prefix = '',
): { value: T } | { faults: ConfigFault[] } {
  const { variables } = environment
  const result = schema.safeParse(
    Object.fromEntries(
      Object.entries(variables)
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length), value]),
    ),
  )
  if (result.success) return { value: result.data }
  const faults = result.error.issues.flatMap((issue): ConfigFault[] => {
    const variable = `${prefix}${String(issue.path[0])}`
    if (isCutShort(variable, environment)) return []
    const found = variables[variable]
    const secret = /SECRET|TOKEN|ACCESS_KEY|URL|PASSWORD/.test(variable)
    const shown = found === undefined ? {} : { found: secret ? '***' : quoted(found) }
    return [{ variable, expected: issue.message, ...shown }]
  })
  return { faults }
}

/**
 * A value for people to read. What may have slipped into it from another line, a password or a
 * key, isn't shown: text around an `=`, an `@` or in a URL, and runs of 16 letters and digits.
 */
export function quoted(value: string): string {
  if (/[=@]|:\/\//.test(value)) return '***'
  return `"${value.replaceAll(/[A-Za-z0-9/+]{16,}/g, '***')}"`
}

/**
 * Gives this process what libraries read from its environment and the file may hold: the time
 * zone, and the AWS SDK's own variables (a profile, say), as the original's load_dotenv did.
 */
export function applyEnvironment({ variables }: Environment): void {
  for (const [name, value] of Object.entries(variables))
    if (name === 'TZ' || name.startsWith('AWS_')) process.env[name] ??= value
}

/** The environment for a child that is no business of the store's: without any secret of ours. */
export function childVariables(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(AWS|S3|CAMERA|ALERT|HEARTBEAT)_/.test(name)),
  )
}

/** The host by way of which FFmpeg connects over HTTP and TLS, if any. */
export function proxyHost(): string | undefined {
  const { http_proxy: proxy = '' } = process.env
  return URL.canParse(proxy) ? new URL(proxy).hostname.replace(/^\[|\]$/g, '') : undefined
}

/** One line for one fault: what is wrong, where, and what to write instead. */
export function describeFault({ variable, found, expected }: ConfigFault): string {
  const state = found === undefined ? 'not set' : `found ${maskUrls(found)}`
  return `${variable}: ${state}; expected ${expected}`
}

/** A warning with the command that mends it, if others than its owner can read the file. */
export function permissionWarnings({ file, found }: Environment): string[] {
  const shared = found && (statSync(file).mode & 0o077) !== 0
  return shared ? [`${file} holds passwords and others can read it: chmod 600 '${file}'`] : []
}

function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const folder = dirname(path)
  return existsSync(folder) ? join(realpathSync(folder), basename(path)) : path
}
