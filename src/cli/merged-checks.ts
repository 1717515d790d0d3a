import { describeFault, type Checked } from '../daemon/environment.ts'

/** What several readers of one configuration found, each thing said once. */
export function mergeChecks(checks: Checked<unknown>[]): { faults: string[]; warnings: string[] } {
  const faults = checks.flatMap((check) => ('faults' in check ? check.faults : []))
  const warnings = checks.flatMap((check) => ('faults' in check ? [] : check.warnings))
  return { faults: [...new Set(faults.map(describeFault))], warnings: [...new Set(warnings)] }
}
