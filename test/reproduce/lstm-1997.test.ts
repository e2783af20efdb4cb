import { lstm1997 } from "../../reproduce/experiments/lstm-1997.ts";
import { shortForms } from "./short-forms.ts";

shortForms(lstm1997);
