/** What GraphiQL's tabs hold at the first visit: a floor, and every change of it. */

const FLOOR = `# One floor with its workstations: Ctrl-Enter.
query Floor($building: String!, $number: Int!) {
  floor(building: $building, number: $number) {
    building
    number
    cursor
    workstations {
      id
      name
      status
      xPosition
      yPosition
    }
  }
}
`;

const CHANGES = `# A snapshot, then every change as it is committed.
# To resume, give the last cursor back as $after:
# nothing is lost and nothing comes twice.
subscription WorkstationChanges($filter: WorkstationFilter, $after: Cursor) {
  workstationChanges(filter: $filter, after: $after) {
    kind
    cursor
    workstations {
      id
      name
      status
    }
    removed
    merged
    complete
  }
}
`;

const json = (value) => JSON.stringify(value, null, 2);

export const FIRST_TABS = [
  { query: FLOOR, variables: json({ building: "总部A座", number: 3 }) },
  { query: CHANGES, variables: json({ filter: { building: "总部A座", floorNumber: 3 } }) },
];
