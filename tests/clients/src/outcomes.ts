// What came of each mutation, in one line. Every switch names all members of its union: a new one does not compile.

import type {
  AssignWorkstationMutation,
  ChangedFragment,
  CreateWorkstationMutation,
  DeleteWorkstationMutation,
  ReleaseWorkstationMutation,
  SetWorkstationStatusMutation,
  UpdateWorkstationMutation,
} from "../generated/graphql.js";

export function created(result: CreateWorkstationMutation["createWorkstation"]): string {
  switch (result.__typename) {
    case "WorkstationChanged":
      return changed(result);
    case "InvalidInput":
      return `correct ${result.field ?? "the input"}: ${result.message}`;
    case "NameTaken":
      return `choose another name: ${result.message}`;
    case "Conflict":
      return conflict(result);
    case "Forbidden":
      return `ask for ${result.scope ?? "a scope"}`;
    case "ReadOnly":
      return `try later: ${result.message}`;
    default:
      return unreachable(result);
  }
}

export function updated(result: UpdateWorkstationMutation["updateWorkstation"]): string {
  switch (result.__typename) {
    case "NotFound":
      return `gone: ${result.message}`;
    default:
      return created(result);
  }
}

export function deleted(result: DeleteWorkstationMutation["deleteWorkstation"]): string {
  switch (result.__typename) {
    case "WorkstationDeleted":
      return `deleted ${result.id}`;
    case "NotFound":
      return `gone: ${result.message}`;
    case "InvalidInput":
      return `correct ${result.field ?? "the input"}: ${result.message}`;
    case "Conflict":
      return conflict(result);
    case "Forbidden":
      return `ask for ${result.scope ?? "a scope"}`;
    case "ReadOnly":
      return `try later: ${result.message}`;
    default:
      return unreachable(result);
  }
}

/** Of the three mutations whose answers are the same. */
export function arranged(
  result:
    | AssignWorkstationMutation["assignWorkstation"]
    | ReleaseWorkstationMutation["releaseWorkstation"]
    | SetWorkstationStatusMutation["setWorkstationStatus"],
): string {
  switch (result.__typename) {
    case "WorkstationChanged":
      return changed(result);
    case "NotFound":
      return `gone: ${result.message}`;
    case "InvalidInput":
      return `correct ${result.field ?? "the input"}: ${result.message}`;
    case "Conflict":
      return conflict(result);
    case "Forbidden":
      return `ask for ${result.scope ?? "a scope"}`;
    case "ReadOnly":
      return `try later: ${result.message}`;
    default:
      return unreachable(result);
  }
}

/** Proof that the compiler notices: this one forgets ReadOnly, and would not compile without the directive. */
export function forgetful(result: SetWorkstationStatusMutation["setWorkstationStatus"]): string {
  switch (result.__typename) {
    case "WorkstationChanged":
    case "NotFound":
    case "InvalidInput":
    case "Conflict":
    case "Forbidden":
      return "";
    default:
      // @ts-expect-error -- ReadOnly is left over
      return unreachable(result);
  }
}

function changed({ workstation }: ChangedFragment): string {
  return `${workstation.name} is ${workstation.status}, version ${workstation.version ?? "hidden"}`;
}

function conflict(result: { allowed: readonly string[] | null; current: { version: number | null } | null }): string {
  return `allowed: ${result.allowed?.join(" ") ?? "-"}; current version: ${result.current?.version ?? "-"}`;
}

function unreachable(result: never): never {
  throw new Error(`not in the schema: ${JSON.stringify(result)}`);
}
