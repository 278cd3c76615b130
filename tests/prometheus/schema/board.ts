// What a board of Grafana 11 may be, by Grafana's own types. files.py writes the board beside this file as `made.ts`, a literal of
// type `Board`: the compiler then refuses any member that Grafana does not know, and any value that it would not take.
import type {
  AnnotationContainer,
  Dashboard,
  FieldConfig as Defaults,
  FieldConfigSource,
  Panel,
  RowPanel,
  VariableModel,
} from './node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen';
import type { Options as BarGauge } from './node_modules/@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Stat } from './node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as StateField,
  Options as StateTimeline,
} from './node_modules/@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type {
  FieldConfig as TableField,
  Options as Table,
} from './node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as TimeField,
  Options as TimeSeries,
} from './node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// A query at Prometheus: Grafana's types of it are not published with the others.
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: string };
  editorMode: 'code' | 'builder';
  expr: string;
  legendFormat: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
}

// In JSON an enum is its value.
type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

interface Organize {
  id: 'organize';
  options: { excludeByName: Record<string, boolean>; indexByName: Record<string, number>; renameByName: Record<string, string> };
}

type Known = 'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations' | 'id' | 'title' | 'description' | 'gridPos' | 'datasource';

interface Shown<Type extends string, Options, Custom> extends Pick<Json<Panel>, Exclude<Known, 'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations'>> {
  type: Type;
  options: Json<Options>;
  fieldConfig: Omit<Json<FieldConfigSource>, 'defaults'> & { defaults: Omit<Json<Defaults>, 'custom'> & { custom?: Json<Partial<Custom>> } };
  targets: Query[];
  transformations?: Organize[];
}

type Any =
  | Shown<'timeseries', TimeSeries, TimeField>
  | Shown<'stat', Stat, never>
  | Shown<'bargauge', BarGauge, never>
  | Shown<'state-timeline', StateTimeline, StateField>
  | Shown<'table', Table, TableField>
  | Json<RowPanel>;

// What the data source of a variable's and an annotation's query understands stands in Grafana's source, not in these types.
type Variable = Omit<Json<VariableModel>, 'query'> & { definition?: string; query: string | { query: string; refId: string } };
type Annotation = Omit<NonNullable<Json<AnnotationContainer>['list']>[number], 'target'> & {
  expr: string;
  titleFormat: string;
  tagKeys: string;
  step: string;
};

export type Board = Omit<Json<Dashboard>, 'panels' | 'templating' | 'annotations'> & {
  panels: Any[];
  templating: { list: Variable[] };
  annotations: { list: Annotation[] };
};
