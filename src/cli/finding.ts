import { count, wrap } from '../daemon/units.ts'

/** One thing that check.sh has looked at. */
export interface Finding {
  is: 'ok' | 'warning' | 'fault'
  subject: string
  /** What was found; of a fault and a warning also what mends it. */
  text: string
}

const width = 98
const marks = { ok: '✓', warning: '!', fault: '✗' } as const

/** Pure: the list that check.sh prints, and below it how it is in all. */
export function findingsText(findings: Finding[]): string {
  const column = Math.max(0, ...findings.map(({ subject }) => subject.length)) + 2
  const lines = findings.flatMap(({ is, subject, text }) =>
    wrap(`${marks[is]} ${subject.padEnd(column)}${text}`, width, column + 2),
  )
  return `${[...lines, '', summary(findings)].join('\n')}\n`
}

function summary(findings: Finding[]): string {
  const [faults, warnings] = (['fault', 'warning'] as const).map(
    (kind) => findings.filter(({ is }) => is === kind).length,
  )
  if (!faults && !warnings) return 'All is well.'
  return [
    ...(faults ? [`${count(faults, 'fault')} (✗)`] : ['No fault']),
    ...(warnings ? [`${count(warnings, 'warning')} (!)`] : []),
  ].join(', ')
}
