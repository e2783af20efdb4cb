import { teacherForcing } from "../../reproduce/experiments/teacher-forcing.ts";
import { shortForms } from "./short-forms.ts";

shortForms(teacherForcing);
